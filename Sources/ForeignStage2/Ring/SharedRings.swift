internal import Glibc
internal import Synchronization

/// The memory that a follower in a process of its own shares with the replay: calls one way, effects the other.
///
/// Invariant: `memory` is a mapping of `bytes` bytes until deinit, laid out alike by both processes.
final class SharedRings {
  /// 1.2 MB of calls, and 4 MB of effects.
  private static let (callWords, effectWords) = (1 << 17, 1 << 19)
  private static let statusBytes = 128
  private static var bytes: Int { statusBytes + WordRing.bytes(callWords) + WordRing.bytes(effectWords) }

  /// The file behind it, without a name.
  let descriptor: Int32
  private let memory: UnsafeMutableRawPointer

  /// Memory of its own.
  init() throws(FollowerFailure) {
    guard let (descriptor, memory) = Self.make() else {
      throw FollowerFailure("no memory can be shared with another process in /dev/shm or /tmp")
    }
    (self.descriptor, self.memory) = (descriptor, memory)
  }

  /// The memory that another process made.
  init(descriptor: Int32) throws(FollowerFailure) {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size == Self.bytes, let memory = Self.map(descriptor)
    else { throw FollowerFailure("descriptor \(descriptor) is no memory of a replay") }
    (self.descriptor, self.memory) = (descriptor, memory)
  }

  deinit {
    munmap(memory, Self.bytes)
    close(descriptor)
  }

  private static func make() -> (Int32, UnsafeMutableRawPointer)? {
    for directory in ["/dev/shm", "/tmp"] {
      guard let file = TemporaryFile(in: directory) else { continue }
      file.unlink()
      // All of it is to be there: where there is no room for what is written to, both processes would end by SIGBUS.
      if posix_fallocate(file.descriptor, 0, off_t(bytes)) == 0, let memory = map(file.descriptor) {
        return (file.descriptor, memory)
      }
      close(file.descriptor)
    }
    return nil
  }

  private static func map(_ descriptor: Int32) -> UnsafeMutableRawPointer? {
    let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    return memory == MAP_FAILED ? nil : memory
  }

  /// The ring of calls, for one end of it.
  func calls() -> WordRing { WordRing(memory + Self.statusBytes, capacity: Self.callWords) }

  /// The ring of effects, for one end of it.
  func effects() -> WordRing {
    WordRing(memory + Self.statusBytes + WordRing.bytes(Self.callWords), capacity: Self.effectWords)
  }

  /// The number of the call that the follower is at, and 1 more; 0 before the first. What it leaves behind where it dies.
  @inline(__always)
  var begun: UInt64 {
    get { place(0).pointee.load(ordering: .relaxed) }
    set { place(0).pointee.store(newValue, ordering: .relaxed) }
  }

  /// The same of the last call that has returned: as long as it is another one, the follower is in the call.
  @inline(__always)
  var returned: UInt64 {
    get { place(1).pointee.load(ordering: .acquiring) }
    set { place(1).pointee.store(newValue, ordering: .releasing) }
  }

  /// Whether the follower has loaded its shared object.
  var isReady: Bool {
    get { place(2).pointee.load(ordering: .acquiring) != 0 }
    set { place(2).pointee.store(newValue ? 1 : 0, ordering: .releasing) }
  }

  private func place(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    memory.assumingMemoryBound(to: Atomic<UInt64>.self) + index
  }
}

/// A follower that cannot be.
package struct FollowerFailure: Error, CustomStringConvertible {
  package var description: String
  /// Whether that is its shared object's doing, and not this machine's.
  package var isOfSide = false

  init(_ description: String) { self.description = description }

  /// One that its shared object does not let be.
  static func ofSide(_ description: String) -> FollowerFailure {
    var failure = FollowerFailure(description)
    failure.isOfSide = true
    return failure
  }
}
