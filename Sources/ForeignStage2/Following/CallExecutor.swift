internal import KVMTypes

/// Carries out the calls of all VMs, one after the other, as they come.
struct CallExecutor<Backend: TellingBackend & ~Copyable>: ~Copyable {
  private var backends = RecordStore<Backend>()
  /// Where the backend of a VM is, by the VM's number; -1 for none.
  private var places: ContiguousArray<Int> = []
  private let make: (StageCall) -> Backend
  private var writer: EffectWriter

  /// - Parameter make: an empty table for a VM that is created by that call.
  init(writingTo ring: WordRing, make: @escaping (StageCall) -> Backend) {
    writer = EffectWriter(ring)
    self.make = make
  }

  /// Carries out one call.
  ///
  /// - Parameters:
  ///   - returned: the call has returned; what it did is still to be told.
  ///   - wait: there is no room in the ring for what it did.
  @inline(__always)
  mutating func carryOut(_ call: StageCall, returned: () -> Void = {}, wait: () -> Void) {
    if call.vm == StageCall.everyVM { return answer(call, returned: returned, wait: wait) }
    let number = Int(call.vm)
    if call.function == .create {
      while places.count <= number { places.append(-1) }
      places[number] = backends.count
      backends.append(make(call))
    }
    guard number < places.count, places[number] >= 0 else { return returned() }
    let backend = backends.place(of: places[number])
    let result = backend.pointee.carryOut(call)
    returned()
    while !backend.pointee.tell(call, result: result, to: &writer) { wait() }
  }

  /// Tells that all calls before this one have been told.
  private mutating func answer(_ call: StageCall, returned: () -> Void, wait: () -> Void) {
    returned()
    while !writer.writeMark(call) { wait() }
  }
}
