/// A follower in this process: each call is carried out when it is made.
///
/// Invariant: `memory` holds a ring of `capacity` words until deinit.
final class LocalFollower<Backend: TellingBackend & ~Copyable> {
  private static var capacity: Int { 1 << 18 }

  private let memory: UnsafeMutableRawPointer
  private var executor: CallExecutor<Backend>

  init(make: @escaping (StageCall) -> Backend) {
    let bytes = WordRing.bytes(Self.capacity)
    memory = .allocate(byteCount: bytes, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    executor = CallExecutor(writingTo: WordRing(memory, capacity: Self.capacity), make: make)
  }

  deinit { memory.deallocate() }

  /// The ring of what it tells, for the reader.
  func effects() -> WordRing { WordRing(memory, capacity: Self.capacity) }

  /// Carries out a call.
  ///
  /// - Parameter makeRoom: reads what was told before.
  @inline(__always)
  func carryOut(_ call: StageCall, makeRoom: () -> Void) { executor.carryOut(call, wait: makeRoom) }
}
