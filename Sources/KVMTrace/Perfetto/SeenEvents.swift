/// Which events there are of one writer.
///
/// Invariant: `flags` holds `EventSlot.count` flags until deinit.
final class SeenEvents {
  let flags: UnsafeMutablePointer<Bool>

  init() {
    flags = .allocate(capacity: EventSlot.count)
    flags.initialize(repeating: false, count: EventSlot.count)
  }

  deinit { flags.deallocate() }

  /// The slots of the events.
  var slots: Set<Int> { Set((0..<EventSlot.count).filter { flags[$0] }) }
}
