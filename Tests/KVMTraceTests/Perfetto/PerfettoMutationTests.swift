import Foundation
import Testing

@testable import KVMTrace

/// What is read of damaged files: never more than there can be, never without an end, never a crash.
@Suite("Mutants of Perfetto traces")
struct PerfettoMutationTests {
  private static let samples = PerfettoSampleTests.names.map { name in
    (try? Data(contentsOf: URL(fileURLWithPath: PerfettoSampleTests.path(name)))).map { Array($0) } ?? []
  }

  @Test("mutants of recordings are read to their end", arguments: Mutation.allCases)
  func mutants(mutation: Mutation) throws {
    for (number, sample) in Self.samples.enumerated() {
      for seed in MutantSeeds.first(4) {
        try read(mutation.apply(to: sample, seed: seed), "\(number) \(mutation) \(seed)")
      }
    }
  }

  @Test(
    "mutants of a small trace with parts of every kind are read to their end", arguments: Mutation.allCases)
  func small(mutation: Mutation) throws {
    let bytes = Self.small
    for seed in MutantSeeds.first(120) {
      try read(mutation.apply(to: bytes, seed: seed), "small \(mutation) \(seed)")
    }
  }

  private func read(_ mutant: [UInt8], _ what: String) throws {
    let reading: PerfettoReading
    do {
      guard !mutant.isEmpty else { return }
      reading = try PerfettoReading(mutant, withFields: false)
    } catch let error as IngestError {
      #expect(error.kind == .notATrace, "\(what)")
      return
    }
    #expect(reading.events.count < 20_000 && reading.damage.count < 2000, "\(what)")
  }

  private static let small: [UInt8] = {
    typealias Parts = PerfettoParts
    let generic = ProtoMessage().adding(1, "commit").adding(
      2, ProtoMessage().adding(1, "kvm").adding(5, 0xffff_0000_0000_0000 as UInt64)
    ).adding(2, ProtoMessage().adding(1, "comm").adding(3, "qemu"))
    let descriptor = Parts.descriptor(65_540, "probes", "mine", [("ret", 3), ("text", 9), ("kvm", 4)])
    let described = ProtoMessage().adding(1, -5).adding(2, "name").adding(3, 9)
    let bundle = Parts.bundle(
      cpu: 3, isBehindLoss: true,
      [
        Parts.entry(1), Parts.event(2, 327, generic), Parts.event(3, 65_540, described),
        Parts.event(4, 3, ProtoMessage().adding(1, 1).adding(2, "marker\n")),
        Parts.event(5, 4, ProtoMessage().adding(1, "unknown")),
      ])
    return Parts.trace(
      Parts.clocks(raw: 5, boot: 9), Parts.system(version: "Perfetto v30"),
      Parts.statistics(phase: 1, [1, 2, 3, 4]), Parts.packet(bundle.adding(11, descriptor)),
      Parts.packet(Parts.entries([8]).adding(5, 2).adding(6, 5).adding(7, 7), isBehindLoss: true),
      Parts.packet(bundle), Parts.statistics(phase: 2, [9, 9, 9, 9]))
  }()
}
