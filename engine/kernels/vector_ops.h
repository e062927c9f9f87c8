// What stands between the matrices of a forward: norms, rotary embedding, gates, activations.
//
// Everywhere: X is float or double, rows are dense, no alignment is asked for, and `y` may be `x` (the same address; no
// other overlap). No allocation; calls that write different memory may run at the same time.
#pragma once

#include <cstdint>

#include "engine/kernels/bfloat16.h"

namespace kvproof::kernels {

/// y = x / sqrt(mean(x²) + eps), n elements. Squares are added in X.
void rms_norm(const float* x, float* y, int64_t n, float eps);
void rms_norm(const double* x, double* y, int64_t n, double eps);

/// Rotates a head (D even) by its position: halves (x1, x2) become (x1·cos + x2·sin, x2·cos − x1·sin). cos and sin are
/// the position's rows of the rotary tables, (D / 2).
void rotate(const float* x, const float* cos, const float* sin, float* y, int64_t dim);
void rotate(const double* x, const double* cos, const double* sin, double* y, int64_t dim);

/// rotate, then rms_norm, then times `scale`: what a query's or a key's head goes through.
void rotate_norm(const float* x, const float* cos, const float* sin, float* y, int64_t dim, float eps, float scale);
void rotate_norm(const double* x, const double* cos, const double* sin, double* y, int64_t dim, double eps,
                 double scale);

/// z = a·x + b·y, n elements; z may be x or y. (Residual and x0 lambdas; gates; the backout.)
void axpby(float a, const float* x, float b, const float* y, float* z, int64_t n);
void axpby(double a, const double* x, double b, const double* y, double* z, int64_t n);

/// y = scale / (1 + exp(−x)): a gate.
void sigmoid(const float* x, float* y, int64_t n, float scale);
void sigmoid(const double* x, double* y, int64_t n, double scale);

/// x += y, n elements; y is widened. (A product's sums into the residual stream.)
void add(const float* y, float* x, int64_t n);
void add(const Bfloat16* y, float* x, int64_t n);
void add(const double* y, double* x, int64_t n);

/// y = max(x, 0)². NaN stays NaN. Squares of bfloat16 are taken in float and rounded once.
void relu_squared(const float* x, float* y, int64_t n);
void relu_squared(const double* x, double* y, int64_t n);
void relu_squared(const Bfloat16* x, Bfloat16* y, int64_t n);

/// y = cap · tanh(x / cap). Precondition: cap > 0.
void softcap(const float* x, float* y, int64_t n, float cap);
void softcap(const double* x, double* y, int64_t n, double cap);

/// y = x in another type: exact when it widens, rounded to nearest even (as to_bfloat16) when it narrows.
void convert(const Bfloat16* x, float* y, int64_t n);
void convert(const float* x, Bfloat16* y, int64_t n);
/// The same type: a copy, for callers that are generic in it.
void convert(const float* x, float* y, int64_t n);
void convert(const double* x, double* y, int64_t n);

}  // namespace kvproof::kernels
