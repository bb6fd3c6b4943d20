/// The faults that are not decided yet.
struct FaultSlab {
  private var windows = RecordStore<FaultWindow>()
  private var free: ContiguousArray<FaultID> = []

  /// How many faults there are.
  var count: Int { windows.count - free.count }

  /// The fault that `id` names.
  subscript(id: FaultID) -> FaultWindow {
    @inline(__always) _read { yield windows[id.position] }
    @inline(__always) _modify { yield &windows[id.position] }
  }

  /// Takes a fault in.
  mutating func insert(_ window: FaultWindow) -> FaultID {
    guard let id = free.popLast() else {
      windows.append(window)
      return FaultID(windows.count - 1)
    }
    windows[id.position] = window
    return id
  }

  /// The fault is decided, or given up: `id` may name another one from now on.
  mutating func remove(_ id: FaultID) {
    assert(id.position < windows.count && !free.suffix(8).contains(id), "a fault is given up twice")
    free.append(id)
  }
}
