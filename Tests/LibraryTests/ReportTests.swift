import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay
import Testing

@Suite("The report of a source of somebody else's")
struct ReportTests {
  @Test("It says what the source tells, and leaves out what only a file has")
  func report() throws {
    let source = NewPages(count: 3)
    let (result, statistics) = try Replay.run(source, profile: ProfileRequest(), options: ReplayOptions())
    let report = ReplayReport(source, statistics, result)
    let input = try #require(report.inputs.first)
    #expect(input.path == "new pages" && input.kernel == "7.3.4" && input.pageSize == 4096)
    #expect(input.compression == nil && input.subBufferSize == nil && input.buffers == nil)
    let vm = try #require(report.vms.first)
    #expect(vm.vcpus.map(\.command) == ["vcpu0"] && vm.operations[.map]?.count == 3)
    #expect(report.text.contains("new pages") && !JSON.text(report).contains("compression"))
    #expect(TraceInfo(source, statistics).text.contains("made up"))
  }
}
