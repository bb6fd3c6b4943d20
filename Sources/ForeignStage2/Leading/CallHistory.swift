internal import Glibc

/// All calls of a replay in their order: the last ones in memory, the others in a file without a name.
///
/// Invariant: `buffer` points to room for `bufferCalls` calls until deinit; its first `count - written` hold calls.
final class CallHistory {
  private static let bufferCalls = 1 << 14

  private let descriptor: Int32
  private let buffer: UnsafeMutablePointer<StageCall>
  /// Calls so far, and how many of them are in the file.
  private(set) var count: UInt64 = 0
  private var written: UInt64 = 0

  init() throws(FollowerFailure) {
    let directory = TemporaryFile.directory
    guard let file = TemporaryFile(in: directory) else {
      throw FollowerFailure("\(directory): no file can be made there")
    }
    file.unlink()
    descriptor = file.descriptor
    buffer = .allocate(capacity: Self.bufferCalls)
  }

  deinit {
    buffer.deallocate()
    close(descriptor)
  }

  /// A call is next; its number is that of its place.
  @inline(__always)
  func append(_ call: StageCall) throws(FollowerFailure) {
    if Int(count - written) == Self.bufferCalls { try spill() }
    (buffer + Int(count - written)).initialize(to: call)
    count += 1
  }

  @inline(never)
  private func spill() throws(FollowerFailure) {
    let stride = MemoryLayout<StageCall>.stride
    let bytes = Int(count - written) * stride
    var done = 0
    while done < bytes {
      let step = pwrite(
        descriptor, UnsafeRawPointer(buffer) + done, bytes - done, off_t(Int(written) * stride + done))
      guard step > 0 || errno == EINTR else {
        throw FollowerFailure("the calls so far cannot be kept: the temporary file cannot be written")
      }
      done += max(step, 0)
    }
    written = count
  }

  /// The call of that number.
  subscript(number: UInt64) -> StageCall {
    precondition(number < count, "there is no call \(number)")
    if number >= written { return buffer[Int(number - written)] }
    var call = StageCall(.look, vm: 0)
    let stride = MemoryLayout<StageCall>.stride
    let size = MemoryLayout<StageCall>.size
    let found = pread(descriptor, &call, size, off_t(Int(number) * stride))
    precondition(found == size, "a call that was kept cannot be read")
    return call
  }
}
