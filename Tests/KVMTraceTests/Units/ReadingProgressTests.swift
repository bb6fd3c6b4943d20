import Testing

@testable import KVMTrace

/// How far passes over recordings say that they are.
@Suite("Progress of reading")
struct ReadingProgressTests {
  static let files = [
    "pkvm-nvhe-7.3.4-guest-boot.dat", "inputs/simultaneous/sim.perfetto-trace.gz",
    "inputs/simultaneous/sim-perf.data.gz", "inputs/simultaneous/trace.txt.gz",
  ]

  @Test(
    "A pass comes from its beginning to its end, and no further, in a recording of any form", arguments: files
  )
  func pass(name: String) throws {
    let trace = try TraceFile(path: Recordings.path(name))
    let progress = ReadingProgress()
    trace.progress = progress
    for number in 1...2 {
      var reader = trace.events(.all)
      var last = try #require(progress.pass)
      #expect(last.number == number && last.totalBytes > 0 && last.path == trace.path)
      var (steps, events) = (0, 0)
      while let run = reader.nextRun() {
        events += run.count
        let now = try #require(progress.pass)
        #expect(now.bytes >= last.bytes && now.events >= last.events && now.events >= events)
        if now.bytes > last.bytes { steps += 1 }
        last = now
      }
      // The last page is not passed: its end is not told.
      #expect(last.bytes <= last.totalBytes && 10 * last.bytes >= 5 * last.totalBytes, "\(last)")
      #expect(steps > 3 && last.events >= events)
    }
    #expect(progress.pass == nil)
  }

  @Test("A pass that is given up early does not count, nor does one within another")
  func givenUp() throws {
    let trace = try TraceFile(path: Recordings.path(Self.files[0]))
    let progress = ReadingProgress()
    trace.progress = progress
    for _ in 0..<2 {
      var reader = trace.events(.all)
      _ = reader.nextRun()
      let outer = try #require(progress.pass)
      var inner = trace.events(.all)
      while inner.nextRun() != nil {}
      #expect(progress.pass?.number == 1 && progress.pass?.events == outer.events)
    }
  }

  @Test("Who is not asked tells nothing, and the events are the same")
  func same() throws {
    let (plain, asked) = (
      try TraceFile(path: Recordings.path(Self.files[0])), try TraceFile(path: Recordings.path(Self.files[0]))
    )
    asked.progress = ReadingProgress()
    var first = plain.events(.all)
    var second = asked.events(.all)
    while let run = first.nextRun() {
      guard let other = second.nextRun() else {
        Issue.record("it ends early")
        return
      }
      #expect(run.count == other.count && run[0].time == other[0].time)
    }
    let rest = second.nextRun()?.count
    #expect(rest == nil && plain.progress == nil)
  }
}
