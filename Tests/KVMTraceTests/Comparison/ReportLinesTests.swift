import Testing

/// What the comparison reads out of a report.
@Suite("Lines of trace-cmd's report")
struct ReportLinesTests {
  @Test(
    "A stamp is seconds with nine digits behind the point, or nanoseconds",
    arguments: [
      "   task-6973  [002]   259.445106948: bprint:                ip=0x1",
      "   task-6973  [002]259445106948: bprint:                ip=0x1",
    ])
  func stamp(line: String) throws {
    let event = try #require(Self.event(line))
    #expect(event.nanoseconds == 259_445_106_948)
    #expect(event.cpu == 2 && event.tid == 6973)
  }

  @Test(
    "Anything else is no event",
    arguments: [
      "cpus=4", "   task-6973  [002]   259.445106: bprint: ip=0x1", "   task-6973  [002]   259445106",
      "   task-6973  [002]   259.445106948", "   task  [002]   259.445106948: bprint: ip=0x1",
    ])
  func other(line: String) { #expect(Self.event(line) == nil) }

  private static func event(_ line: String) -> (nanoseconds: UInt64, cpu: UInt16, tid: Int32)? {
    Array(line.utf8).withUnsafeBytes { bytes in
      var lines = ReportLines(bytes)
      guard case .event(let event) = lines.next() else { return nil }
      return (event.nanoseconds, event.cpu, event.tid)
    }
  }
}
