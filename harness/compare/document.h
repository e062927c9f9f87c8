// A comparison as one JSON document: what compare and ci write, and every report of it reads.
//
//   schema     {"name": "kvproof-comparison", "version": 1}
//   kvproof    who compared: version, commit, dirty, build_type;  started  UTC;  seconds  it took, null of two documents
//   config     {file, hash}; null of two documents
//   base, candidate
//              kind ("binary", "ref", "baseline", "record"), name (as it was given), version, commit, dirty,
//              fingerprint, cpu_model (null: not known), started (null of programs)
//   cases[]    in the base's order, those that only the candidate has at the end
//     id, shape ("pp512 tg64"; null: not known)
//     verdict  "IDENTICAL", "CHANGED", "MISSING", "ADDED", "INCOMPARABLE"
//     reason   of INCOMPARABLE, a sentence without its stop; else null
//     changes[]  field ("engine.tokens", "naive.kv_cache_bytes", "agreement", "status"), place ("row 0, token 17"; ""),
//              base, candidate (values, null: none), accepted (named by ci.accept)
//   timing     null: none was asked for
//     kind     "paired": fresh processes in turns, which may gate; "advisory": times of two runs, which never do
//     verdict  REGRESSED, IMPROVED (nothing worse), EQUIVALENT, INCONCLUSIVE, INCOMPARABLE; of "advisory" only the last, or null
//     reason   of INCOMPARABLE and INCONCLUSIVE; else null
//     session  of "paired": blocks, rounds, epoch_ns, seconds, tests (gated), cases_joined, note (""), journal (path)
//     metrics[]  case, metric ("engine_decode cpu"), gated, verdict (of "advisory" null), ratio (candidate / base: above 1
//              is slower), low, high (null: too few blocks), base_ns, candidate_ns (of one unit; medians), blocks; of
//              "paired" also: margin (δ, a share), noise_floor (null), recorded (A/A sessions behind it), minimum_detectable,
//              alarm_from (null), p (by Holm where gated), blocks_to_settle (null), reason (""), confirmed (of REGRESSED), and
//              confirmation (null, or {ratio, low, high, verdict} of the second session)
//     controls[]  base against its own copy: case, metric, verdict, ratio, low, high, minimum_detectable
//   floors[]   ratios held against committed floors: case, metric ("speedup_e2e"), floor, value, low, high, verdict
//              (REGRESSED: the interval lies below the floor; EQUIVALENT: it does not)
//   accept     {given [names], unused [names]}
//   warnings[] sentences
//   verdict    exact ("IDENTICAL", "CHANGED", "INCOMPARABLE"), timing (as above, null), exit_code, reasons[] (why it is not 0)
#pragma once
