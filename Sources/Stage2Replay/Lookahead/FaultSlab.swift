internal import KVMTypes

/// The faults that are not decided yet.
struct FaultSlab: ~Copyable {
  private var windows = RecordStore<FaultWindow>()
  /// By `FaultID`, what was waited for; read only where the fault's `signs` say that there is something.
  private var waits = RecordStore<FaultWaits>()
  private var free = RecordStore<FaultID>()
  #if DEBUG
    private var isTaken: [Bool] = []
  #endif

  /// How many faults there are.
  var count: Int { windows.count - free.count }

  /// The fault that `id` names.
  subscript(id: FaultID) -> FaultWindow {
    @inline(__always) unsafeAddress { UnsafePointer(place(of: id)) }
    @inline(__always) unsafeMutableAddress { place(of: id) }
  }

  /// Where the fault lies until another one is taken in.
  @inline(__always)
  func place(of id: FaultID) -> UnsafeMutablePointer<FaultWindow> { windows.place(of: id.position) }

  /// The fault is looked at soon.
  @inline(__always)
  func prefetch(_ id: FaultID) { windows.prefetch(id.position) }

  /// Takes a fault in.
  @inline(__always)
  mutating func insert(_ window: FaultWindow) -> FaultID {
    let id: FaultID
    if let known = free.popLast() {
      id = known
      self[id] = window
    } else {
      id = FaultID(windows.count)
      windows.append(window)
      waits.append(FaultWaits())
    }
    self[id].signs.remove(.waits)
    noteTaken(id)
    return id
  }

  /// The fault is decided, or given up: `id` may name another one from now on.
  mutating func remove(_ id: FaultID) {
    noteFree(id)
    free.append(id)
  }

  /// What was waited for in the window of a fault.
  @inline(__always)
  func waits(of id: FaultID) -> FaultWaits {
    self[id].signs.contains(.waits) ? waits[id.position] : FaultWaits()
  }

  mutating func updateWaits(of id: FaultID, _ body: (inout FaultWaits) -> Void) {
    if !self[id].signs.contains(.waits) { waits[id.position] = FaultWaits() }
    self[id].signs.insert(.waits)
    body(&waits[id.position])
  }

  // MARK: Who names what, watched in tests

  private mutating func noteTaken(_ id: FaultID) {
    #if DEBUG
      while isTaken.count <= id.position { isTaken.append(false) }
      assert(!isTaken[id.position], "a fault's place is given to another one before it is decided")
      isTaken[id.position] = true
    #endif
  }

  private mutating func noteFree(_ id: FaultID) {
    #if DEBUG
      assert(isTaken[id.position], "a fault is given up twice")
      isTaken[id.position] = false
    #endif
  }
}
