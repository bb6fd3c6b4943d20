import ForeignStage2
import Foundation
import KVMTypes
import Stage2Model
import Testing
import ToyBackend

/// Two sides that follow the model's calls, in this process. `PatchTests` has those in others.
@Suite("Led calls")
struct LedReplayTests {
  private let profile = Profile(path: .pkvm, era: .v7_3)

  /// What comes of some VMs with random calls, on the toy and on the toy with a macro.
  private func findings(_ macros: String, vms: Int = 2, calls: Int = 6000) throws -> PatchFindings {
    let paths = [try ToyBackend.build(), try macros.isEmpty ? ToyBackend.build() : ToyBackend.build(macros)]
    defer { for path in paths { try? FileManager.default.removeItem(atPath: path) } }
    let libraries = try paths.map { try BackendLibrary(path: $0) }
    return try findings(libraries.map { .local($0) }, vms: vms, calls: calls)
  }

  private func findings(_ choices: [FollowerChoice], vms: Int, calls: Int) throws -> PatchFindings {
    let conductor = try CallConductor(choices)
    let host = StockCase(profile)
    for vm in 0..<vms {
      let model = PKVMStage2(try profile.pkvmConfiguration())
      var led = LedStage2(model, host.shape, conductor)
      for call in host.calls(seed: UInt64(vm), count: calls) {
        led.note(CallCause(.fault, time: Nanoseconds(call.number), cpu: CPUIndex(1), tid: ThreadID(7)))
        if let topUp = host.topUp(before: call) { _ = topUp.perform(on: &led, knowsFrame: false) }
        _ = call.perform(on: &led, knowsFrame: false)
      }
    }
    return try conductor.finish()
  }

  @Test("Equal sides do not differ")
  func equal() throws {
    let found = try findings("")
    #expect(found.differing == 0 && found.first == nil && found.lost.isEmpty && found.counts.isEmpty)
    #expect(found.vms == 2 && found.calls > 15_000 && found.compared == found.calls)
    let totals = found.sides.map { side in side.totals.effects.map { [$0.name.text: $0.total] } }
    #expect(totals[0] == totals[1] && !totals[0].isEmpty)
  }

  @Test(
    "What one side does otherwise is found where it does so first",
    arguments: [
      ("TOY_LEAVES_OLD=1", "map", "leaf"), ("TOY_WARNS=1", "unmap", "warnings"),
      ("TOY_BATCHES=1", "map", "hypercalls"),
    ])
  func different(macros: String, operation: String, kind: String) throws {
    let found = try findings(macros)
    let first = try #require(found.first)
    #expect(first.call.function.name == operation && first.kinds.names == [kind])
    #expect(first.call.cause.tid == ThreadID(7) && first.call.cause.kind == .fault)
    #expect(found.differing >= found.counts[0].count && found.lost.isEmpty)
  }

  /// What comes of one VM on two toys, the second of which does something wrong.
  private func findings(
    _ macros: String, vms: Int = 1, of calls: (inout LedStage2<PKVMStage2>) -> Void
  ) throws -> PatchFindings {
    let paths = [try ToyBackend.build(), try macros.isEmpty ? ToyBackend.build() : ToyBackend.build(macros)]
    defer { for path in paths { try? FileManager.default.removeItem(atPath: path) } }
    let conductor = try CallConductor(try paths.map { .local(try BackendLibrary(path: $0)) })
    for _ in 0..<vms {
      var led = LedStage2(PKVMStage2(try profile.pkvmConfiguration()), StockCase(profile).shape, conductor)
      calls(&led)
    }
    return try conductor.finish()
  }

  /// Maps pages one by one from the first address on.
  private static func map(_ led: inout LedStage2<PKVMStage2>, pages: UInt64) {
    for page in 0..<pages {
      _ = led.map(IPA(page << 12), size: 4096, pfn: nil, prot: .rwx, vcpu: VCPUIndex(0))
    }
  }

  @Test("What a call does beyond what is told one by one is compared and counted like the rest")
  func manyEffects() throws {
    let found = try findings("TOY_MISTAKES_AT=300") { led in
      Self.map(&led, pages: 400)
      _ = led.unmap(IPA(0), size: 400 << 12)
    }
    let first = try #require(found.first)
    #expect(first.call.function == .unmap && first.kinds.names == ["hypercalls"] && found.differing == 1)
    // One effect more moves where the others are no longer told one by one.
    let warns = try findings("TOY_WARNS=1") { led in
      Self.map(&led, pages: 400)
      _ = led.unmap(IPA(0), size: 400 << 12)
    }
    #expect(warns.first?.kinds.names == ["warnings"])
    #expect(first.sameEffects + first.after.counts.reduce(0, +) == first.after.effectCount)
    for side in found.sides {
      let objects = side.totals.effects.first { $0.name.text == "mapping object" }?.total
      #expect(objects?.amount == 400 && objects?.other == 400, "\(String(describing: objects))")
    }
  }

  @Test(
    "A VM that is there to the end is compared as a whole, torn down and released; one without calls is not made"
  )
  func living() throws {
    var isFirst = true
    let found = try findings("", vms: 3) { led in
      if !isFirst { Self.map(&led, pages: 10) }
      isFirst = false
    }
    for side in found.sides {
      for function in [StageCall.Function.create, .look, .destroyRange, .release] {
        #expect(side.totals.results[Int(function.rawValue)].calls == 2, "\(function.name)")
      }
    }
  }

  @Test("A function that a backend does not have does nothing, also at the end of a VM")
  func missing() throws {
    let found = try findings("TOY_DESTROYS=0") { Self.map(&$0, pages: 10) }
    let first = try #require(found.first)
    #expect(first.call.function == .destroyRange && first.before.effectCount > 10)
    #expect(first.after.effectCount == 0, "\(first.after)")
  }

  @Test("What there is of a VM that has ended is no part of what there is at once")
  func peaks() throws {
    let found = try findings("", vms: 3) { led in
      Self.map(&led, pages: 400)
      led.note(CallCause(.end, time: Nanoseconds(1), cpu: CPUIndex(0), tid: ThreadID(0)))
    }
    for side in found.sides {
      let most = side.totals.effects.filter { $0.name.kind == .state }.map { ($0.name.text, $0.total.other) }
      let peaks = Dictionary(uniqueKeysWithValues: most)
      #expect(peaks["leaves"] == 400 && peaks["mappings"] == 400 && peaks["tree depth"] == 400, "\(peaks)")
    }
  }

  @Test("Whatever a backend counts, both sides go on")
  func lies() throws {
    let found = try findings("TOY_LIES=1", vms: 3)
    #expect(found.vms == 3 && found.lost.isEmpty && found.compared == found.calls)
    #expect(found.counts.contains { $0.function == .look && $0.kind == "state" })
    let peaks = found.sides[1].totals.effects.filter { $0.name.text == "memory cache pages" }
    #expect(peaks.first { $0.name.kind == .state }?.total.other == .max)
  }

  @Test("A kernel that stops loses the VM, and the calls that show it are kept")
  func panic() throws {
    let found = try findings("TOY_PANIC_AT=50")
    #expect(found.lost.count == 2 && found.lost.allSatisfy { $0.side == 1 })
    for lost in found.lost {
      guard case .panic(let text) = lost.reason else {
        Issue.record("\(lost.reason)")
        continue
      }
      #expect(text.hasPrefix("toy-backend.c:") && text.hasSuffix(": the n-th map"))
      #expect(lost.calls.count { $0.function == .map } == 50 && lost.calls.last?.number == lost.call.number)
    }
  }

  @Test("A vCPU that cannot be loaded is an operation that fails; a kernel that stops there is not called")
  func load() throws {
    func topUpAndMap(_ led: inout LedStage2<PKVMStage2>) {
      led.topUpMemcache(vcpu: VCPUIndex(0), pages: 3)
      Self.map(&led, pages: 1)
    }
    let fails = try findings("TOY_LOAD_FAILS=1", of: topUpAndMap)
    let first = try #require(fails.first)
    #expect(first.call.function == .topUpMemcache && first.kinds.contains(.result))
    #expect(first.before.result == 0 && first.after.result == -12)
    #expect(fails.counts.contains { $0.function == .map && $0.kind == "result" } && fails.lost.isEmpty)
    let stops = try findings("TOY_LOAD_PANICS=1", of: topUpAndMap)
    guard case .panic(let text) = stops.lost.first?.reason else {
      Issue.record("\(stops.lost)")
      return
    }
    #expect(text.hasSuffix(": no vCPU can be loaded"), "\(text)")
  }

  @Test("The model itself is a side that does not differ from what it leads")
  func model() throws {
    let path = try ToyBackend.build()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let library = try BackendLibrary(path: path)
    let found = try findings([.model(profile), .local(library)], vms: 2, calls: 6000)
    // The toy's tree is a list, whose nodes lie deeper.
    let counts = found.counts.map { [$0.function.name, $0.kind] }
    #expect(counts == [["look", "state"]], "\(String(describing: found.first))")
    let first = try #require(found.first)
    let told = [first.before, first.after].map { told in told.effects.filter { !$0.contains("tree") } }
    #expect(Set(told[0]).isSubset(of: told[1]))
    let older = FollowerChoice.model(Profile(path: .pkvm, era: .v6_18))
    let other = try findings([older, .local(library)], vms: 1, calls: 6000)
    // Before 6.19 EL2 did not tell that there is nothing to relax.
    #expect(other.first?.call.function == .relaxPerms && other.first?.kinds.names == ["result"])
  }
}
