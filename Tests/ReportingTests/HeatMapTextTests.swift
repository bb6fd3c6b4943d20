import KVMTrace
import KVMTypes
import Stage2Replay
import Testing

@testable import Pictures
@testable import Reporting

/// Maps of guest memory in characters.
@Suite("Guest memory in characters")
struct HeatMapTextTests {
  private static let mebibyte: UInt64 = 1 << 20

  /// A map of 8 columns of a millisecond: at each base so many events a column, the last one with nothing but mapped pages.
  private static func map(_ rows: [(base: UInt64, counts: [UInt32])], columns: Int = 8) -> HeatMap {
    HeatMap(
      vm: 0, pageSize: .size4K, start: Nanoseconds(5_000_000_000), interval: Nanoseconds(1_000_000),
      columns: columns, rowBytes: 2 * mebibyte,
      rows: rows.map { base, counts in
        HeatMap.Row(
          base: IPA(base), cells: counts.map { HeatMap.Cell(faults: $0, mappedPages: $0 > 0 ? 1 : 0) })
      }, details: [], regionCount: rows.count)
  }

  private static func slot(_ id: Int16?, _ begin: UInt64, _ bytes: UInt64) -> ReplayReport.SlotEntry {
    ReplayReport.SlotEntry(
      id: id, gfn: begin >> 12, pages: bytes >> 12, hva: nil, flags: 0, basis: .recorded, support: nil,
      contradictions: nil, confidence: nil, offsetBasis: nil)
  }

  private static func draw(
    _ map: HeatMap, _ slots: [ReplayReport.SlotEntry] = [], width: Int = 80, locale: String = "C",
    colour: PageForm.Colour = .never
  ) -> String {
    var page = TextPage(PageForm(terminal: width, colour: colour, environment: ["LANG": locale]))
    map.write(slots, .nanoseconds, &page)
    return page.rendered
  }

  /// The characters between the edges of each row.
  private static func rows(_ text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: "|", omittingEmptySubsequences: false)
      return parts.count == 3 ? String(parts[1]) : nil
    }
  }

  private static let small = map([
    (0, [1, 0, 2, 3, 4, 8, 255, 256]), (1 << 30, [0, 1, 0, 0, 0, 0, 0, 1]),
    (1 << 30 + 2 << 20, [0, 0, 0, 0, 9, 0, 0, 0]),
  ])

  @Test("Columns in which events are missing are marked, also where they are put together")
  func gaps() {
    var map = Self.small
    #expect(!Self.draw(map).contains("events lost") && !Self.draw(map).contains("missing there"))
    // From the third column to the fifth, of a millisecond each.
    map.gaps = [Nanoseconds(5_002_400_000)..<Nanoseconds(5_004_100_000)]
    let text = Self.draw(map)
    #expect(Self.rows(text).contains("  !!!   "), "\(text)")
    #expect(text.contains("!: events of some CPU are missing there"))
    map.gaps = [Nanoseconds(5_000_000_000)..<Nanoseconds(5_000_000_000)]
    #expect(Self.rows(Self.draw(map)).contains("!       "))
  }

  @Test(
    "The legend says how many operations are derived and how many assumed, which add up, and that failed calls are left out"
  )
  func bases() {
    var map = Self.small
    map.rows[0].cells[0].maps = 7
    map.rows[0].cells[1].unmaps = 4
    map.rows[0].cells[0].assumed = 2
    let text = Self.draw(map, width: 200).replacing(/\s+/, with: " ")
    #expect(
      text.contains(
        "7 maps, with relax_perms and mkyoung, 0 ages, 4 unmaps, with wrprotect and split: 9 derived, 2 assumed;"
      ))
    #expect(text.contains("not at all where it failed"))
  }

  @Test("A digit says how much happened, in steps by one factor, and the legend has the steps")
  func digits() {
    let text = Self.draw(Self.small)
    #expect(Self.rows(text) == ["1 223489", " 1     1", "    4   "])
    #expect(text.contains("1: 1, 2: 2 to 3, 3: 4 to 7, 4: 8 to 15, 5: 16 to 31"))
    #expect(text.contains("9: 256 and more"))
    let digits = HeatDigits(largest: 1_000_000)
    #expect(digits.digit(0) == 0 && digits.digit(1) == 1 && digits.digit(1_000_000) <= 9)
    #expect((1...1000).allSatisfy { digits.digit($0) <= digits.digit($0 + 1) })
    #expect(HeatDigits(largest: 0).legend == "1: 1 and more")
  }

  @Test("Where nothing happened a dot says that memory is mapped")
  func mapped() {
    var map = Self.small
    for column in map.rows[2].cells.indices where column > 4 { map.rows[2].cells[column].mappedPages = 512 }
    #expect(Self.rows(Self.draw(map))[2] == "    4...")
    #expect(Self.draw(map, locale: "C.UTF-8").contains("│    4···│"))
  }

  @Test("Slots are named where they begin, and again behind a gap; a gap is a line")
  func slots() {
    let slots = [
      Self.slot(0, 0, 64 << 20), Self.slot(1, 1 << 30, 1 << 30), Self.slot(nil, 1 << 30, 4096),
      Self.slot(1, 1 << 30, 1 << 30),
    ]
    let lines = Self.draw(Self.small, slots).split(separator: "\n")
    #expect(lines[1].hasPrefix("  slot 0 ") && lines[1].contains(" 0x0 |"))
    #expect(lines[2].contains("...") && lines[2].contains("1,022 MiB: nothing happened"))
    #expect(
      lines[3].hasPrefix("  slots 1,?   0x40000000 |") && lines[4].hasPrefix("              0x40200000 |"))
  }

  @Test("The time axis has the length of the map, and the legend what a row and a column are")
  func axes() {
    let text = Self.draw(Self.small)
    #expect(text.contains("time since 5.000000000 s, 1.0 ms a column"))
    #expect(text.contains("addresses (IPA), 2 MiB a row"))
    #expect(text.contains("8.0 ms") && text.contains("+-+-+-+-+"))
  }

  @Test(
    "A map fits the terminal and 40 lines, says what it merged, and loses nothing",
    arguments: [60, 80, 120, 200])
  func merging(width: Int) {
    let bases = (0..<300).map { UInt64($0) * 3 % 512 * 2 * Self.mebibyte }.sorted()
    let map = Self.map(
      bases.map { base in
        (base: base, counts: (0..<192).map { UInt32($0 % 5 == Int(base >> 21) % 5 ? 1 : 0) })
      }, columns: 192)
    let text = Self.draw(map, [Self.slot(0, 0, 1 << 30)], width: width)
    let lines = text.split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= width })
    let condensed = map.condensed(columns: Self.rows(text)[0].count, lines: 40)
    #expect(Self.rows(text).count == condensed.rows.count && Self.rows(text)[0].count == condensed.columns)
    #expect(lines.count(where: { $0.contains("|") || $0.contains("...") }) <= 40)
    let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(words.contains("to fit 40 lines") && words.contains("of the map's"))
    for (row, drawn) in zip(condensed.rows, Self.rows(text)) {
      #expect(zip(row.cells, drawn).allSatisfy { ($0.total > 0) == $1.isNumber })
    }
    let sum = { (map: HeatMap) in map.rows.flatMap(\.cells).reduce(0) { $0 + $1.total } }
    #expect(sum(condensed) == sum(map))
  }

  @Test("Colours follow the digits and change nothing else")
  func colours() {
    let coloured = Self.draw(Self.small, colour: .always)
    #expect(
      coloured.contains(
        "|\u{1b}[36m1\u{1b}[0m \u{1b}[36m223\u{1b}[0m\u{1b}[33m4\u{1b}[0m\u{1b}[1;31m89\u{1b}[0m|"))
    #expect(coloured.replacing(/\u{1b}\[[0-9;]*m/, with: "") == Self.draw(Self.small))
  }

  @Test(
    "The map of a recording has every fault and operation that the replay told",
    arguments: ["pkvm-nvhe-7.3.4-guest-boot", "kvm-nvhe-7.3.4-twin-guests"])
  func recording(name: String) throws {
    let pictures = ReplayPictures()
    let trace = try TraceFile(path: Recordings.path(name))
    var calls = 0
    let (result, statistics) = try Replay.run(
      trace, profile: ProfileRequest(), options: ReplayOptions(), observer: pictures.observer,
      onOperation: {
        pictures.add($0)
        if $0.size <= 2 << 20, $0.result ?? 0 >= 0, $0.kind != .flush { calls += 1 }
      })
    let maps = pictures.finish(result, last: statistics.last!).compactMap(\.heat)
    let report = ReplayReport(trace, statistics, result)
    #expect(maps.count == result.vms.count(where: { $0.faults.total > 0 }))
    var drawnCalls = 0
    for map in maps {
      let condensed = map.condensed(columns: 50, lines: 40)
      let (whole, merged) = (map.rows.flatMap(\.cells), condensed.rows.flatMap(\.cells))
      #expect(whole.reduce(0) { $0 + $1.total } == merged.reduce(0) { $0 + $1.total })
      let mapped = map.rows.reduce(0) { $0 + $1.cells.last!.mappedPages }
      #expect(mapped == condensed.rows.reduce(0) { $0 + $1.cells.last!.mappedPages })
      drawnCalls += whole.reduce(0) { $0 + $1.total - Int($1.faults) }
      #expect(whole.reduce(0) { $0 + Int($1.faults) } > 0)
    }
    // A call that is about several regions counts in each of them.
    #expect(drawnCalls >= calls && calls > 1000)
    let text = report.text(in: PageForm(terminal: 80, colour: .never, environment: [:]), heat: maps)
    let first = try #require(maps.first)
    #expect(text.contains("guest memory of VM \(first.vm) by address and time"))
    #expect(
      text.split(separator: "\n").dropFirst().allSatisfy {
        $0.count <= 80 || !$0.contains(" ") || $0.hasPrefix("  pkvm-replay ")
      })
  }
}
