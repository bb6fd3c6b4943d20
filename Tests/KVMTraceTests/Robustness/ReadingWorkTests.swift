import KVMTrace
import Testing
import UnnamedFiles

/// How much is read of a file, which says what a time would, and is the same on every machine: a reader that went through a file once
/// for each CPU, packet or round would read a multiple.
@Suite("Work of reading")
struct ReadingWorkTests {
  /// What opening a recording and reading its events took.
  private struct Work {
    /// How long the recording is, with what it holds compressed.
    let size: Int
    let bytesRead: Int

    init(_ recording: LargeRecording) throws {
      let file = try UnnamedFile(recording.bytes)
      size = recording.bytes.count + recording.inflatedBytes
      let before = try ThreadReads.now()
      let trace = try TraceFile(path: file.path)
      let statistics = trace.forEachRun(.all) { _ in }
      bytesRead = try ThreadReads.now() - before
      #expect(statistics.total == recording.events && statistics.damage.isEmpty)
    }
  }

  @Test(
    "Every byte is read once in each pass, also of a file that is twice as long",
    arguments: LargeRecording.Shape.allCases, [1, 2])
  func passes(shape: LargeRecording.Shape, times: Int) throws {
    let work = try Work(shape.recording(times: times))
    #expect(Double(work.bytesRead) <= shape.passes * Double(work.size), "of \(work.size) bytes")
    // Else nothing was measured.
    #expect(work.bytesRead >= work.size / 2)
  }
}
