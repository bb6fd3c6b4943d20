import Glibc

/// The bytes of an input, read where they are wanted.
///
/// The file is never mapped. Whoever maps a file dies of SIGBUS when somebody cuts it meanwhile, which log rotation and
/// network file systems do. A read that finds the file shorter than it was, or that fails, ends early instead; what it
/// ran into is kept in `shrinkage` and `failure`.
///
/// Invariant: `descriptor` is open until deinit, and so are the bytes that `keep` handed out valid. Not for use by
/// several threads at once.
final class FileBytes {
  /// Reads from a descriptor like `pread`; tests put one in that fails.
  typealias Read = (Int32, UnsafeMutableRawPointer, Int, Int) -> Int

  /// The most that is held of a file besides its events, in bytes.
  static let keptBytesMax = 256 << 20
  /// How much is read at once where single numbers are wanted, in bytes.
  private static let windowBytes = 4096
  /// How much is read at once where all of it is looked at, in bytes.
  private static let pieceBytes = 1 << 16

  let path: String
  /// How long the file was when it was opened, in bytes.
  let count: Int
  private let descriptor: Int32
  private let systemRead: Read
  private let window: UnsafeMutableRawBufferPointer
  private var windowRange = 0..<0
  private var kept: [SectionBytes] = []
  private var keptBytes = 0
  /// That the file is shorter than it was, once a read found out.
  private(set) var shrinkage: Damage?
  /// Whether every read so far has found what the file had when it was opened.
  private(set) var isWhole = true
  /// That a read failed, once one did.
  private(set) var failure: IngestError?

  /// Opens `path`, or standard input for "-". What cannot be read at any place is copied first, as far as `spoolLimit`.
  convenience init(path: String, spoolLimit: UInt64? = nil) throws(IngestError) {
    let descriptor = try InputDescriptor.open(path: path, spoolLimit: spoolLimit)
    try self.init(path: path, descriptor: descriptor, read: { pread($0, $1, $2, off_t($3)) })
  }

  /// Takes over the descriptor of a file, also where it throws.
  init(path: String, descriptor: Int32, read: @escaping Read) throws(IngestError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 0 else {
      close(descriptor)
      throw IngestError(.notATrace, path: path, what: "is empty, not a trace")
    }
    self.path = path
    self.descriptor = descriptor
    systemRead = read
    count = Int(status.st_size)
    window = .allocate(byteCount: Self.windowBytes, alignment: 16)
  }

  deinit {
    close(descriptor)
    window.deallocate()
  }

  /// Reads from `offset` on until `buffer` is full or the file ends, and says how many bytes are there.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let wanted = min(buffer.count, count - min(offset, count))
    var done = 0
    while done < wanted {
      let step = systemRead(descriptor, buffer.baseAddress! + done, wanted - done, offset + done)
      if step > 0 {
        done += step
      } else if step == 0 {
        noteEnd(at: offset + done)
        break
      } else if errno != EINTR {
        noteFailure(errno, at: offset + done)
        break
      }
    }
    return done
  }

  /// Whether nothing but zeros stands from `offset` to the end.
  func isEmpty(from offset: Int) -> Bool {
    var place = offset
    let piece = SectionBytes(count: max(0, min(Self.pieceBytes, count - offset)))
    while place < count {
      let filled = read(at: place, into: piece.bytes)
      guard filled > 0, piece.bytes[..<filled].allSatisfy({ $0 == 0 }) else { return false }
      place += filled
    }
    return true
  }

  /// The `size` bytes from `offset` on, 4 KiB at most; nil where the file ends before. Valid until the next call.
  func bytes(at offset: Int, size: Int) -> UnsafeRawPointer? {
    if offset < windowRange.lowerBound || offset + size > windowRange.upperBound {
      windowRange = offset..<(offset + read(at: offset, into: window))
      guard size <= windowRange.count else { return nil }
    }
    return UnsafeRawPointer(window.baseAddress! + (offset - windowRange.lowerBound))
  }

  /// The `size` bytes from `offset` on, which stay valid as long as this object; nil where the file ends before, or
  /// where so much would be held that the number can only be wrong.
  func keep(at offset: Int, size: Int) -> UnsafeRawBufferPointer? {
    guard size <= count - min(offset, count) else { return nil }
    return hold(size) { read(at: offset, into: $0) == size }
  }

  /// `size` bytes that belong to what is held of this file, if `fill` can fill them and they are not too many.
  func hold(_ size: Int, fill: (UnsafeMutableRawBufferPointer) -> Bool) -> UnsafeRawBufferPointer? {
    guard size <= Self.keptBytesMax - keptBytes else { return nil }
    let section = SectionBytes(count: size)
    guard fill(section.bytes) else { return nil }
    keptBytes = min(keptBytes + size + SectionBytes.overhead, Self.keptBytesMax)
    kept.append(section)
    return UnsafeRawBufferPointer(section.bytes)
  }

  private func noteEnd(at offset: Int) {
    guard shrinkage == nil else { return }
    isWhole = false
    var status = stat()
    let now = fstat(descriptor, &status) == 0 ? Int(status.st_size) : offset
    shrinkage = Damage(
      offset: min(now, offset),
      what: "the file became shorter while it was read: it was \(count) bytes long and is now \(now)")
  }

  private func noteFailure(_ number: Int32, at offset: Int) {
    guard failure == nil else { return }
    isWhole = false
    failure = IngestError(
      .inputOutput, path: path, offset: offset, what: "cannot be read (\(String(cString: strerror(number))))",
      advice: "what was read before is used; copy the file and try again")
  }
}

/// Bytes of a file in memory.
final class SectionBytes {
  /// What one takes besides its bytes, about: a forged file can have millions that are empty.
  static let overhead = 96

  let bytes: UnsafeMutableRawBufferPointer

  init(count: Int) { bytes = .allocate(byteCount: count, alignment: 16) }

  /// The first `count` of them.
  func prefix(_ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
  }

  deinit { bytes.deallocate() }
}
