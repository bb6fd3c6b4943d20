internal import Glibc

/// Records in the order of their stamps, as far as lines are out of order by no more than a window: `trace_pipe` writes what one CPU
/// recorded a little after what others did later. Records of one stamp stay in the order of their lines.
///
/// The window is filled, sorted where that is needed, and its earlier half is taken; then it is filled again.
///
/// Invariant: `entries` has room for `capacity` entries, of which `count` are initialised, the ones before `next` taken. Each entry's
/// record lies in `bytes`, which has `bytesMax` bytes, the first `filled` in use; `spare` is as large.
struct ReorderWindow: ~Copyable {
  /// A record and where it comes from.
  struct Entry: BitwiseCopyable {
    var stamp: UInt64
    /// Where its line begins in the file, in bytes.
    var line: Int
    /// Where its bytes are, and how many.
    var begin: UInt32
    var count: UInt32
    var cpu: UInt16
    /// Whether a line before it, which may have been an event, could not be read.
    var isBehindGap = false
    /// How many events its CPU lost before it, 0 for an unknown number; -1 for none.
    var lost: Int64
  }

  /// How many records are held; half of them are the window.
  private static let capacity = 4096
  private static let bytesMax = 1 << 20

  private let entries: UnsafeMutablePointer<Entry>
  private var bytes: UnsafeMutableRawPointer
  private var spare: UnsafeMutableRawPointer
  private var count = 0
  private var next = 0
  private var end = 0
  private var filled = 0
  private var isSorted = true
  /// The stamp of the last record that was taken when room was made.
  private(set) var lastTaken: UInt64 = 0

  init() {
    entries = .allocate(capacity: Self.capacity)
    bytes = .allocate(byteCount: Self.bytesMax, alignment: 16)
    spare = .allocate(byteCount: Self.bytesMax, alignment: 16)
  }

  deinit {
    entries.deallocate()
    bytes.deallocate()
    spare.deallocate()
  }

  /// Whether there is no room for one more record.
  var isFull: Bool { count == Self.capacity || filled + RecordSlot.bytesMax > Self.bytesMax }

  /// Where the next record is to be written, `RecordSlot.bytesMax` bytes at most.
  var room: UnsafeMutableRawPointer { bytes + filled }

  /// Takes in the record that was written to `room`.
  @inline(__always)
  mutating func append(_ entry: Entry) {
    if count > 0, entry.stamp < entries[count - 1].stamp { isSorted = false }
    (entries + count).initialize(to: entry)
    entries[count].begin = UInt32(truncatingIfNeeded: filled)
    count += 1
    filled += (Int(entry.count) + 7) & ~7
  }

  /// The next record that may be taken, nil where the window has to be filled first.
  var first: Entry? {
    @inline(__always) get { next < end ? entries[next] : nil }
  }

  /// The bytes of a record.
  func record(of entry: Entry) -> UnsafeRawPointer { UnsafeRawPointer(bytes + Int(entry.begin)) }

  /// Takes the record that `first` is.
  mutating func removeFirst() { next += 1 }

  /// Makes room for what comes: records that were taken are gone, the others move together.
  mutating func makeRoom() {
    if next > 0 { lastTaken = entries[next - 1].stamp }
    filled = 0
    for index in next..<count {
      let size = Int(entries[index].count)
      (spare + filled).copyMemory(from: bytes + Int(entries[index].begin), byteCount: size)
      entries[index - next] = entries[index]
      entries[index - next].begin = UInt32(truncatingIfNeeded: filled)
      filled += (size + 7) & ~7
    }
    swap(&bytes, &spare)
    count -= next
    (next, end) = (0, 0)
  }

  /// The window is filled: its earlier half may be taken, or all of it where nothing comes any more.
  mutating func close(isLast: Bool) {
    if !isSorted {
      // Lines come in the order of their places in the file.
      var entries = UnsafeMutableBufferPointer(start: entries, count: count)
      entries.sort { ($0.stamp, $0.line) < ($1.stamp, $1.line) }
      isSorted = true
    }
    end = isLast ? count : max(1, count / 2)
  }
}
