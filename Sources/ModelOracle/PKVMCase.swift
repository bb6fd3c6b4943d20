package import KVMTypes
import SeededRandom
package import Stage2Model

/// One host and kernel for which random operations are run on the model and the oracle.
package struct PKVMCase: Sendable, CustomStringConvertible {
  package var era: PKVMEra
  package var isProtected = false
  /// Loading of vCPUs is modelled.
  package var isStrict = false
  package var hasFWB = false
  package var pageSize = PageSize.size4K
  package var ipaBits = 44
  package var keepsTree = true
  package static let vcpus = 3

  /// Every era, each in the variations that change what must happen.
  package static let all: [PKVMCase] =
    PKVMEra.allCases.flatMap { era in
      var cases = [
        PKVMCase(era: era), PKVMCase(era: era, isStrict: true),
        PKVMCase(era: era, hasFWB: true, pageSize: .size16K, ipaBits: 48),
      ]
      if era.hasIntervalTree {
        cases.append(PKVMCase(era: era, keepsTree: false))
        cases.append(PKVMCase(era: era, pageSize: .size64K, ipaBits: 52, keepsTree: false))
      }
      if era.supportsProtectedGuests {
        cases.append(PKVMCase(era: era, isProtected: true))
        cases.append(PKVMCase(era: era, isProtected: true, isStrict: true, ipaBits: 52))
      }
      return cases
    }

  package var description: String {
    var words = [era.name, "\(pageSize.bytes >> 10)K", "\(ipaBits) bits"]
    if isProtected { words.append("protected") }
    if isStrict { words.append("strict") }
    if hasFWB { words.append("FWB") }
    if !keepsTree { words.append("no tree") }
    return words.joined(separator: " ")
  }

  private var release: Int {
    switch era {
    case .v3: 600
    case .v6_14: 614
    case .v6_15: 615
    case .v6_16: 616
    case .v6_18: 618
    case .v6_19: 619
    case .v7_1: 701
    case .v7_2: 702
    case .v7_3: 703
    }
  }

  package func makeModel() -> PKVMStage2 {
    guard let geometry = try? Stage2Geometry(pageSize: pageSize, ipaBits: ipaBits) else {
      fatalError("no geometry for \(self)")
    }
    var configuration = PKVMConfiguration(geometry: geometry, era: era, isProtected: isProtected)
    configuration.features.hasFWB = hasFWB
    configuration.keepsMappingTree = keepsTree
    configuration.requiresLoadedVCPU = isStrict
    configuration.createdVCPUs = Self.vcpus
    return PKVMStage2(configuration)
  }

  package func makeOracle() -> PKVMOracle {
    // Written out, not computed as the model does.
    let (entryPages, blockPages): ([UInt64], UInt64) =
      switch pageSize {
      case .size4K: ([1 << 27, 1 << 18, 1 << 9, 1], 512)
      case .size16K: ([1 << 33, 1 << 22, 1 << 11, 1], 2048)
      case .size64K: ([1 << 39, 1 << 26, 1 << 13, 1], 8192)
      }
    let startLevel =
      switch (pageSize, ipaBits) {
      case (.size4K, 44), (.size4K, 52): 0
      default: 1
      }
    return PKVMOracle(
      release: release, protected: isProtected, strict: isStrict, hasFWB: hasFWB,
      pageSize: pageSize.bytes, blockPages: blockPages, entryPages: entryPages, startLevel: startLevel,
      minPages: 3 - startLevel, ipaPages: (1 << UInt64(ipaBits)) / pageSize.bytes, vcpus: Self.vcpus)
  }
}

/// What a random case found wrong.
package struct OracleMismatch: Error, CustomStringConvertible {
  package var description: String
}

extension PKVMCase {
  /// Runs `steps` random operations on the model and the oracle, compares results and counts after each and
  /// everything after every `checkEvery`, then ends the VM and expects that nothing is left.
  package func run(seed: UInt64, steps: Int, checkEvery: Int = 1) throws(OracleMismatch) {
    var random = SplitMix64(seed: seed)
    var model = makeModel()
    var oracle = makeOracle()
    for step in 0..<steps {
      let operation = PKVMOperation.random(&random, oracle, self)
      let got = operation.apply(&model)
      let wanted = operation.apply(&oracle)
      var problems: [String] = []
      if got != wanted { problems.append("returned \(got), not \(wanted)") }
      compareCounts(&model, oracle, &problems)
      if problems.isEmpty, step % checkEvery == checkEvery - 1 || step == steps - 1 {
        compareAll(&model, oracle, &problems)
      }
      if !problems.isEmpty {
        throw OracleMismatch(
          description:
            "\(self), seed \(seed), step \(step), \(operation): \(problems.joined(separator: "; "))")
      }
    }
    if let problem = end(&model, oracle) {
      throw OracleMismatch(description: "\(self), seed \(seed), at the end: \(problem)")
    }
  }

  /// The VM ends in order: every page goes back.
  private func end(_ model: inout PKVMStage2, _ oracle: PKVMOracle) -> String? {
    for vcpu in 0..<Self.vcpus { model.putVCPU(VCPUIndex(vcpu)) }
    // Pages that others took would be refused for ever, were they in use.
    for pfn in PKVMOperation.hostFrames(self) where !oracle.isUsed(pfn.rawValue) {
      model.hyp.vmemmap.override(pfn, state: .owned)
    }
    model.destroyRange(IPA(0), size: 1 << UInt64(ipaBits))
    if era < .v6_19 { model.destroy() }
    model.destroyPGD()
    if oracle.teardownWasRefused {
      // EL2 is asked once only; refused then, the VM stays for ever.
      return model.destroyVM() == .invalid ? nil : "the teardown succeeded after it was refused"
    }
    if model.mappingCount != 0 { return "\(model.mappingCount) mappings are left" }
    let result = model.destroyVM()
    if !result.isSuccess { return "teardown: \(result.rawValue)" }
    let memory = model.memory
    if memory.allPages.live != 0 { return "\(memory.allPages.live) pages are left" }
    if memory.totalBytes.live != memory.lostMappings.live * memory.bytesPerMapping {
      return "\(memory.totalBytes.live) bytes are left"
    }
    if model.memory.spareMappings.live != 0 { return "mapping objects are left" }
    if !model.hyp.vmemmap.shareCounts.isEmpty { return "shared pages are left" }
    return nil
  }

  private func compareCounts(
    _ model: inout PKVMStage2, _ oracle: PKVMOracle, _ problems: inout [String]
  ) {
    func compare<Value: Equatable>(_ what: String, _ got: Value, _ wanted: Value) {
      if got != wanted { problems.append("\(what): \(got), not \(wanted)") }
    }
    for hypercall in Hypercall.allCases {
      compare(hypercall.name, model.hypercalls[hypercall], oracle.calls[hypercall.name] ?? 0)
    }
    compare("mappings", model.mappingCount, oracle.nodes.count)
    compare("flushed pages", UInt64(model.flushedPages), oracle.flushedPages)
    compare("zeroed pages", model.hyp.zeroedPages, oracle.zeroedPages)
    compare("locked pages", model.lockedPages.live, oracle.lockedPages)
    compare("leaked mappings", model.memory.lostMappings.live, oracle.leakedNodes)
    compare("pool", model.hyp.table.pages.pool, oracle.pool)
    for vcpu in 0..<Self.vcpus {
      compare("host pages of \(vcpu)", model.memcachePages(VCPUIndex(vcpu)), oracle.vcpus[vcpu].hostPages)
      compare("EL2 pages of \(vcpu)", model.hyp.memcachePages(VCPUIndex(vcpu)), oracle.vcpus[vcpu].hypPages)
    }
  }

  private func compareAll(
    _ model: inout PKVMStage2, _ oracle: PKVMOracle, _ problems: inout [String]
  ) {
    problems += model.checkInvariants()
    var leaves: [UInt64: PKVMOracle.Leaf] = [:]
    var poisoned: Set<UInt64> = []
    model.hyp.table.forEachEntry { entry in
      let frame = entry.ipa.rawValue / pageSize.bytes
      if entry.descriptor.isValid {
        leaves[frame] = PKVMOracle.Leaf(
          pages: entry.level == .l3 ? 1 : oracle.blockPages, frame: entry.descriptor.pfn?.rawValue,
          rights: entry.descriptor.prot.rawValue & 15, young: entry.descriptor.isYoung,
          state: Int(entry.descriptor.softwareBits >> 55))
      } else if entry.descriptor.invalidType == .poisoned {
        poisoned.insert(frame)
      }
    }
    if leaves != oracle.leaves { problems.append("leaves: \(leaves), not \(oracle.leaves)") }
    if poisoned != oracle.poisoned { problems.append("poisoned: \(poisoned), not \(oracle.poisoned)") }
    for level in 1...3 {
      let live = model.memory.tables(level: TranslationLevel(Int8(level))).live
      let wanted = oracle.tables()[level] ?? 0
      if live != wanted { problems.append("tables of level \(level): \(live), not \(wanted)") }
    }
    for (frame, page) in oracle.host {
      let pfn = PFN(frame)
      let state = Int(model.hyp.vmemmap.hostState(pfn).rawValue)
      let count = UInt64(model.hyp.vmemmap.shareCount(pfn))
      if state != page.state || count != page.count {
        problems.append("host page \(frame): state \(state) count \(count), not \(page)")
      }
      if model.hyp.vmemmap.guestOwner(pfn)?.gfn.rawValue != page.ownerFrame {
        problems.append("host page \(frame) has another owner than \(page)")
      }
    }
    let frames: [UInt64] = [
      oracle.leaves.keys.first ?? 0, (oracle.leaves.keys.max() ?? 0) + 1, oracle.ipaPages - 1,
    ]
    for frame in frames {
      let ipa = IPA(frame * pageSize.bytes)
      switch model.walk(ipa) {
      case .invalid(let level):
        if oracle.leafStart(frame) != nil || Int(level.rawValue) != oracle.walkLevel(frame) {
          problems.append("walk of frame \(frame) ends at level \(level.rawValue)")
        }
      case .leaf(let level, _, _):
        if oracle.leafStart(frame) == nil || Int(level.rawValue) != oracle.walkLevel(frame) {
          problems.append("walk of frame \(frame) finds a leaf of level \(level.rawValue)")
        }
      }
    }
  }
}
