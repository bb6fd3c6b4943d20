import KVMTrace
import KVMTypes
import Stage2Model
import TraceSynth
import Testing
import UnnamedFiles

@testable import Stage2Replay

/// The causes of divergences count every event that breaks a rule, however many causes there are.
@Suite("Sums of divergences")
struct DivergenceSumTests {
  private static func trace(vms: Int, losses: Int) throws -> UnnamedFile {
    var configuration = SynthesizerConfiguration()
    (configuration.vms, configuration.vcpus, configuration.events) = (vms, 2, 400_000)
    (configuration.memoryBytes, configuration.hugePagePercent, configuration.losses) = (128 << 20, 60, losses)
    let output = OutputFile()
    _ = try Synthesizer.write(configuration, TraceFlavour(), to: output)
    return try UnnamedFile(output.memory)
  }

  private static func expectSums(_ report: DivergenceReport) {
    func counts(_ items: [Divergence]) -> [Int] {
      [DivergenceVerdict.unexplained, .explained, .unknown].map { verdict in
        items.filter { $0.verdict == verdict }.reduce(0) { $0 + $1.count }
      }
    }
    #expect(counts(report.items) == [report.unexplained, report.explained, report.unknown])
    for (vm, own) in report.byVM {
      #expect(
        counts(report.items.filter { $0.vm == vm }) == [own.unexplained, own.explained, own.unknown], "\(vm)")
    }
  }

  @Test("Of many VMs each has its causes", arguments: [1, 2])
  func manyVMs(jobs: Int) throws {
    let file = try Self.trace(vms: 64, losses: 400)
    var options = ReplayOptions()
    options.jobs = jobs
    let report = try Replay.run(TraceFile(path: file.path), profile: ProfileRequest(), options: options)
      .result
      .divergences
    #expect(report.items.count { $0.verdict == .unknown } > 100)
    Self.expectSums(report)
  }

  @Test("Of many regions the first are told apart, and the others are one cause of each rule")
  func manyRegions() throws {
    // Blocks of a kernel that maps none: each contradicts it.
    let file = try Self.trace(vms: 8, losses: 0)
    var request = ProfileRequest()
    request.kernel = NamedKernel("6.14")
    let report = try Replay.run(
      TraceFile(path: file.path), profile: request, options: ReplayOptions()
    ).result.divergences
    let unexplained = report.items.filter { $0.verdict == .unexplained }
    #expect(unexplained.count > DivergenceLog.regionsMax && report.unexplained > unexplained.count)
    #expect(unexplained.count <= DivergenceLog.regionsMax + DivergenceRule.allCases.count * report.byVM.count)
    Self.expectSums(report)
  }
}
