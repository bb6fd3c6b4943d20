internal import KVMTypes

/// The pages of a text: each holds events of one CPU that stand together, all of them in the order of time.
final class TextPages: PageSupply {
  /// Nothing that a call of it leads to comes back here: to have that checked took 4 % of a pass, for pages are short.
  @exclusivity(unchecked) private var maker: TextPageMaker

  init(_ file: FileBytes, _ contents: TextContents) { maker = TextPageMaker(file, contents) }

  var cpu: UInt16 { maker.cpu }
  var pageOffset: Int { maker.pageOffset }
  var isBehindGap: Bool { maker.isBehindGap }
  var damage: DamageLog {
    get { maker.damage }
    set { maker.damage = newValue }
  }

  /// The lines so far that are inside of others, which are left out.
  var linesInside: [TextRecords.LinesInside] { maker.records.linesInside }
  var lastOfCPUs: [(cpu: UInt16, last: Nanoseconds)]? { maker.records.stamps.all }

  func next() -> UnsafeRawBufferPointer? { maker.next() }
}

/// Makes the pages of a text.
private struct TextPageMaker: ~Copyable {
  /// How long a page is, in bytes: it has room for the longest record.
  private static let pageBytes = 32 << 10

  private(set) var cpu: UInt16
  private(set) var pageOffset = 0
  private(set) var isBehindGap = false
  var damage = DamageLog(cpu: nil)
  private(set) var records: TextRecords
  private var window = ReorderWindow()
  private var writer = PageWriter(pageBytes: pageBytes)
  private var isAtEnd = false

  init(_ file: FileBytes, _ contents: TextContents) {
    cpu = contents.firstCPU
    records = TextRecords(file, contents)
  }

  /// The next page, nil at the end. It is valid until the next call.
  mutating func next() -> UnsafeRawBufferPointer? {
    writer.begin()
    while true {
      guard let entry = window.first else {
        if isAtEnd { break }
        window.makeRoom()
        isAtEnd = !records.fill(&window, &damage)
        window.close(isLast: isAtEnd)
        continue
      }
      if writer.eventCount == 0 {
        (cpu, pageOffset, isBehindGap) = (entry.cpu, entry.line, entry.isBehindGap)
        if entry.lost >= 0 { writer.lost = UInt64(entry.lost) }
      } else if entry.cpu != cpu || entry.lost >= 0 || entry.isBehindGap {
        break
      }
      guard let place = writer.reserve(Int(entry.count), at: Nanoseconds(entry.stamp)) else { break }
      place.copyMemory(from: window.record(of: entry), byteCount: Int(entry.count))
      window.removeFirst()
    }
    return writer.eventCount > 0 ? writer.finish() : nil
  }
}
