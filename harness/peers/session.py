"""One launch of a group: its engines loaded side by side, each cell run in mirrored turns. Only one engine computes at a time."""
import random
import statistics
import time
from contextlib import ExitStack

from clocks import OthersClock
from connection import Connection

SETTLE_SECONDS = 0.01  # behind a block: OpenMP's threads spin for 4 ms after their work, on a core that the next engine needs
STEADY = 0.05  # a warm-up ends when a block takes within this of the one before


class Player:
    """An engine that runs cells. Keeps one cache that grows from depth to depth."""

    def __init__(self, engine, connection, room):
        """room: slots of a cache of one row, enough for the deepest cell"""
        self.engine, self.connection, self.room = engine, connection, room
        self.vocab = connection.hello["model"]["vocab_size"]
        self.can = connection.hello["can"]
        self.held = None  # (cache, depth, its rows and capacity)

    def introduction(self):
        """What the log says of the engine: its own words, but for a name of its own that tells where it lies."""
        hello = self.connection.hello
        return {"name": self.engine.name or hello["name"], "backend": hello.get("backend"), "threads": hello.get("threads")}

    def tokens(self, count, first=0):
        return [(first + i) * 7919 % self.vocab for i in range(count)]

    def drop(self):
        if self.held:
            self.connection.ask("free", cache=self.held[0])
        self.held = None

    def capacity(self, cell):
        return self.room if cell.rows == 1 else cell.depth + cell.steps

    def hold(self, cell):
        """A cache with cell.depth tokens in each row. An engine that cannot go back keeps one row instead, to be copied."""
        size = (cell.rows if "truncate" in self.can else 1, self.capacity(cell))
        if self.held and (self.held[1] > cell.depth or self.held[2] != size):
            self.drop()
        if not self.held:
            self.held = (self.connection.ask("new", rows=size[0], capacity=size[1])["cache"], 0, size)
        cache, at, _ = self.held
        if cell.depth > at:
            self.connection.forward(cache, [self.tokens(cell.depth - at, at)] * size[0])
        self.held = (cache, cell.depth, size)
        return cache

    def decode(self, cell):
        """returns nanoseconds of steps behind cell.depth tokens; the first, which finds other engines' data in the caches, is left out"""
        step = [[self.tokens(1, 17)[0]]] * cell.rows
        if cell.depth == 0:
            self.drop()
            cache = self.connection.ask("new", rows=cell.rows, capacity=self.capacity(cell))["cache"]
        else:
            cache = self.hold(cell)
            if "truncate" not in self.can:
                cache = self.connection.ask("clone", cache=cache, rows=[0] * cell.rows, capacity=self.capacity(cell))["cache"]
        times = [self.connection.forward(cache, step) for _ in range(cell.steps)]
        if self.held and cache == self.held[0]:
            self.connection.ask("truncate", cache=cache, row=None, length=cell.depth)
        else:
            self.connection.ask("free", cache=cache)
        return times[1:]

    def prefill(self, cell):
        self.drop()
        cache = self.connection.ask("new", rows=1, capacity=self.room)["cache"]
        elapsed = self.connection.forward(cache, [self.tokens(cell.tokens)])
        self.connection.ask("free", cache=cache)
        return [elapsed]

    def block(self, cell):
        """returns the median of the block's times"""
        self.connection.idle.end()
        times = self.decode(cell) if cell.kind == "decode" else self.prefill(cell)
        time.sleep(SETTLE_SECONDS)
        self.connection.idle.begin()
        return int(statistics.median(times))

    def warm_up(self, cell):
        """Blocks until two of them agree, four at most. returns their times, which count nowhere"""
        times = [self.block(cell)]
        while len(times) < 4:
            times.append(self.block(cell))
            if abs(times[-1] / times[-2] - 1) < STEADY:
                break
        return times


def play(players, cell, rounds, seed):
    """returns {"order": keys of each round's first half, "engines": key → {"blocks": two times a round, "warmup": times}}"""
    shuffle = random.Random(seed)
    result = {player.engine.key: {"blocks": [], "warmup": player.warm_up(cell)} for player in players}
    orders = []
    for _ in range(rounds):
        order = shuffle.sample(players, len(players))
        orders.append([player.engine.key for player in order])
        for player in (*order, *reversed(order)):
            result[player.engine.key]["blocks"].append(player.block(cell))
    return {"order": orders, "engines": result}


def launch(engines, cells, rounds, logs, launch_number):
    """Starts the engines that the cells need, runs the cells in turn, and ends the engines.

    rounds  cell → how many; logs: a folder for what engines print
    yields  (cell, what play() returned, with each engine's share of CPU time while idle up to then, and others_cpu)
    """
    room = max(cell.depth + cell.tokens + cell.steps for cell in cells)
    players = {}  # number of the engine → its player
    with ExitStack() as stack:
        for cell in cells:
            take_places(players, engines, cell.role, room, logs, stack)
            playing = [players[number] for number in sorted(players)]
            if cell.rows > 1:
                for player in playing:
                    player.drop()
            others = OthersClock([player.connection.idle for player in playing])
            others.begin()
            result = play(playing, cell, rounds(cell), f"{cell.id} {launch_number}")
            result["others_cpu"] = others.share()
            for player in playing:
                result["engines"][player.engine.key]["idle_cpu"] = player.connection.idle.share()
            result["hello"] = {player.engine.key: player.introduction() for player in playing}
            yield cell, result


def take_places(players, engines, role, room, logs, stack):
    """Ends the players that have no part in the role, and starts the engines that have one and do not run yet: all of a d20's
    together would take what memory there is."""
    for number in [number for number, player in players.items() if role not in player.engine.roles]:
        players.pop(number).connection.close()
    for number, engine in enumerate(engines):
        if role in engine.roles and number not in players:
            connection = Connection(engine.key, [str(word) for word in engine.command], engine.environment, logs / f"{number}.log")
            stack.callback(connection.close)
            connection.start()
            players[number] = Player(engine, connection, room)
