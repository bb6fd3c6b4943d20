import Testing

@testable import Reporting

/// How far the reading is, in a line.
@Suite("Progress in a line")
struct ProgressLineTests {
  private static func line(
    _ path: String = "trace.dat", pass: Int = 1, bytes: UInt64 = 256 << 20, of total: UInt64 = 1 << 30,
    events: UInt64 = 6_000_000, seconds: Double = 2
  ) -> ProgressLine {
    ProgressLine(
      path: path, pass: pass, bytes: bytes, totalBytes: total, events: events,
      elapsedNs: UInt64(seconds * 1e9))
  }

  @Test("It has the share, the rate and the time that is left")
  func text() {
    #expect(Self.line().text(width: 80) == "trace.dat: 25 % of 1 GiB, 3.0 M events/s, 6 s left")
    #expect(
      Self.line(pass: 2, events: 1500, seconds: 100).text(width: 80)
        == "trace.dat: pass 2, 25 % of 1 GiB, 15 events/s, 5 min left")
    #expect(Self.line("-").text(width: 80).hasPrefix("standard input: "))
  }

  @Test("What is not known is not told, and nothing divides by nothing")
  func unknown() {
    #expect(Self.line(of: 0).text(width: 80) == "trace.dat: 256 MiB, 3.0 M events/s")
    #expect(Self.line(bytes: 0, seconds: 0).text(width: 80) == "trace.dat: 0 % of 1 GiB, 0 events/s")
    #expect(Self.line(bytes: 2 << 30).text(width: 80) == "trace.dat: 100 % of 1 GiB, 3.0 M events/s")
  }

  @Test("It never reaches the last column; the name gives way first", arguments: [0, 1, 20, 40, 60, 80])
  func width(width: Int) {
    let path = "/a/long/way/\u{1b}[2J/to/the/recording/that/is/meant.dat"
    let text = Self.line(path).text(width: width)
    #expect(text.count < max(width, 1) && !text.contains("\u{1b}"))
    if width == 60 { #expect(text.hasPrefix("..") && text.contains("meant.dat: 25 %")) }
    if width == 40 { #expect(text.hasPrefix("25 % of 1 GiB, 3.0 M events/s")) }
  }
}
