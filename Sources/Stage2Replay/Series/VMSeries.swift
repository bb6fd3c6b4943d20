internal import KVMTypes

/// What a VM has and uses over time, in execution time.
struct VMSeries: ~Copyable {
  /// The memory of its stage 2 in the intervals of the trace.
  private(set) var memory = MemorySeries()
  /// The same in intervals of its own life.
  private(set) var life: LifeSeries
  /// Its own memory, as far as faults show it in use.
  var workingSet = WorkingSet()
  /// The interval of the last fault.
  var interval = TimeGrid.Cursor()
  /// The end of the first interval that is under way in either series.
  private var boundary = Nanoseconds(0)

  /// - Parameter start: when the VM appeared.
  init(from start: Nanoseconds) { life = LifeSeries(from: start) }

  /// Whether an operation at `time` comes after an interval that is under way: time to take a sample first.
  @inline(__always)
  func isDue(at time: Nanoseconds) -> Bool { time >= boundary }

  /// The intervals before those of `time` end with the memory as it is.
  mutating func advance(to time: Nanoseconds, _ grid: TimeGrid, _ now: MemorySample) {
    if memory.isDue(at: time) { memory.advance(to: time, grid, now) }
    life.advance(to: time, LifeSeries.Sample(now, shownPages: workingSet.shownRAM))
    boundary = min(memory.boundary, life.boundary)
  }

  /// The trace has ended.
  ///
  /// - Parameters:
  ///   - last: the memory that the VM had last.
  ///   - now: what is left of it, for one that has ended.
  mutating func finish(_ grid: TimeGrid, last: MemorySample, now: MemorySample) {
    life.finish(LifeSeries.Sample(last, shownPages: workingSet.shownRAM))
    memory.finish(grid, now)
  }
}
