/// What a VM has and uses over time, in execution time.
struct VMSeries: ~Copyable {
  /// The memory of its stage 2.
  var memory = MemorySeries()
  /// Its own memory, as far as faults show it in use.
  var workingSet = WorkingSet()
  /// The interval of the last fault.
  var interval = TimeGrid.Cursor()
}
