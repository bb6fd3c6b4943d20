import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// What a copy says of its recording, as somebody may have written it.
@Suite("What a copy says of its recording")
struct CopyOriginTests {
  private static func opened(_ words: String, pageBytes: Int = 16384) throws -> TraceFile {
    let flavour = TraceFlavour(pageBytes: pageBytes)
    let bytes = try TraceBuilding.file(
      flavour, options: [.version("pkvm-replay:copy \(words)")],
      pages: [[TraceBuilding.entries([1000], flavour)]])
    return try Reading(bytes).trace
  }

  @Test(
    "A moment from which on nothing is certain, that is none, is the beginning",
    arguments: ["", "x", "-1", "1e9"])
  func uncertain(moment: String) throws {
    let trace = try Self.opened(
      "page_size=4096 sub_buffers=kept damaged=1 damage_gaps=0 uncertain_from=\(moment)")
    #expect(trace.account.uncertainFrom == Nanoseconds(0))
    #expect(trace.damageOfOriginal?.what.contains("nothing is certain from the stamp 0 on") == true)
  }

  @Test(
    "A loss alone can leave in doubt what comes behind it: then no place is damaged",
    arguments: [
      ("damaged=0 damage_gaps=0 uncertain_from=7", "lost events of one of several streams of a CPU"),
      ("damaged=0 damage_gaps=2 uncertain_from=7", "is damaged in 1 place"),
      ("uncertain_from=7", "is damaged in 1 place"),
    ])
  func uncertainForALoss(words: String, reason: String) throws {
    let trace = try Self.opened("page_size=4096 \(words)")
    #expect(trace.account.uncertainFrom == Nanoseconds(7))
    #expect(trace.damageOfOriginal?.what.contains("is a copy of \(reason); nothing is certain") == true)
  }

  @Test(
    "Pages of the host that the sub-buffers contradict are not believed",
    arguments: [
      ("page_size=65536 sub_buffers=kept", nil), ("page_size=4096", nil), ("page_size=65536", nil),
      ("page_size=4096 sub_buffers=kept", .size4K), ("page_size=16384", .size16K),
    ] as [(String, PageSize?)])
  func pageSize(words: String, expected: PageSize?) throws {
    let trace = try Self.opened(words)
    #expect(trace.pageSize == expected)
    #expect(trace.damage.isEmpty == (expected != nil), "\(trace.damage)")
  }
}
