import KVMTypes
package import SeededRandom
package import Stage2Model

/// One call of the pKVM backend.
package enum PKVMOperation: CustomStringConvertible {
  /// A top-up of so many pages, and the map.
  case fault(ipa: UInt64, size: UInt64, frame: UInt64?, prot: UInt64, vcpu: Int, topUp: Int?)
  case unmap(UInt64, UInt64)
  case wrprotect(UInt64, UInt64)
  case age(UInt64, UInt64, markOld: Bool)
  case relax(UInt64, UInt64, vcpu: Int)
  case mkyoung(UInt64, vcpu: Int)
  case flush(UInt64, UInt64)
  case flushTLBs
  case firstRun(Int)
  case load(Int)
  case put(Int)
  case trap(Int, UInt64?)
  /// Something else takes a host page, or gives it back.
  case hostPage(UInt64, state: Int, count: UInt64)
  case failRefill
  case forceReclaim(UInt64)
  case guestShare(UInt64)
  case guestUnshare(UInt64)
  case destroyRange(UInt64, UInt64)

  /// Where host frames lie: few, so that they are shared often, and a block's worth apart.
  static func hostFrame(_ random: inout SplitMix64, aligned: Bool, _ blockPages: UInt64) -> UInt64 {
    aligned ? (1 + random.below(3)) * blockPages : blockPages + random.below(6)
  }

  /// Every frame that `hostPage` may change.
  static func hostFrames(_ host: PKVMCase) -> [PFN] {
    let blockPages = host.pageSize.pagesPerPMD
    return (0..<6).map { PFN(blockPages + $0) }
  }

  package static func random(
    _ random: inout SplitMix64, _ oracle: PKVMOracle, _ host: PKVMCase
  ) -> PKVMOperation {
    let blocks = host.era.hasIntervalTree && !host.isProtected
    let block = oracle.blockPages
    // Three places far apart, a few blocks at each, a few pages in each block: operations meet.
    let places = [0, block * 600, oracle.ipaPages - 4 * block]
    let frame = places[Int(random.below(3))] + random.below(3) * block + random.below(4)
    let ipa = frame * oracle.pageSize
    let blockIPA = frame / block * block * oracle.pageSize
    let vcpu = Int(random.below(UInt64(PKVMCase.vcpus)))
    func size() -> UInt64 {
      let pages = [1, 1, 3, block, 2 * block + 1, 700 * block]
      let bytes = pages[Int(random.below(6))] * oracle.pageSize
      // No caller asks for parts of pages, or for nothing; the kernel's functions have an answer all the same.
      if random.chance(4) { return bytes + oracle.pageSize / 2 }
      return random.chance(4) ? 0 : bytes
    }
    func start() -> UInt64 { random.chance(5) ? ipa + oracle.pageSize * 3 / 4 : ipa }
    func prot() -> UInt64 {
      if host.isProtected { return random.chance(97) ? 15 : 12 }
      let prots: [UInt64] = [8, 12, 11, 15, 12, 0x1c]
      return prots[Int(random.below(random.chance(5) ? 6 : 5))]
    }
    let roll = random.below(100)
    switch roll {
    case 0..<40:
      let mapsBlock = blocks && random.chance(25)
      let known = random.chance(75)
      let host = known ? hostFrame(&random, aligned: mapsBlock, block) : nil
      // EL2 of older kernels would panic without the pages.
      let full = oracle.minPages
      let topUp =
        oracle.release >= 701 ? (random.chance(90) ? full : Int(random.below(UInt64(full + 1)))) : full
      let misaligned = !mapsBlock && random.chance(3) ? oracle.pageSize / 4 : 0
      var bytes = mapsBlock ? block * oracle.pageSize : oracle.pageSize
      if random.chance(1) { bytes *= 2 }
      return .fault(
        ipa: (mapsBlock ? blockIPA : ipa) + misaligned, size: bytes, frame: host, prot: prot(), vcpu: vcpu,
        topUp: topUp)
    case 40..<50: return .unmap(start(), size())
    case 50..<57: return .wrprotect(start(), size())
    case 57..<66: return .age(start(), size(), markOld: random.chance(60))
    case 66..<73:
      let odd: UInt64 = random.chance(5) ? 9 : random.chance(5) ? 0x14 : prot()
      return .relax(ipa, odd, vcpu: vcpu)
    case 73..<78: return .mkyoung(ipa, vcpu: vcpu)
    case 78..<80: return .flush(start(), size())
    case 80: return .flushTLBs
    case 81: return .firstRun(vcpu)
    case 82..<87: return .load(vcpu)
    case 87..<89: return .put(vcpu)
    case 89..<91: return .trap(vcpu, random.chance(70) ? ipa : nil)
    case 91:
      let choices: [(Int, UInt64)] = [(0, 0), (0, 0), (2, 0), (1, 0), (1, UInt64(UInt32.max))]
      let (state, count) = choices[Int(random.below(5))]
      let frame = hostFrame(&random, aligned: false, block)
      // Only pages that nobody maps: a page in use is not taken.
      return oracle.isUsed(frame) ? .flushTLBs : .hostPage(frame, state: state, count: count)
    case 92: return random.chance(30) ? .failRefill : .load(vcpu)
    case 93..<95:
      return .forceReclaim(hostFrame(&random, aligned: false, block))
    case 95..<97: return .guestShare(ipa)
    case 97..<99: return .guestUnshare(ipa)
    default:
      // Rarely: it is the beginning of the end.
      return random.chance(3) ? .destroyRange(start(), size()) : .flushTLBs
    }
  }

  /// Runs the operation on the model; the result as the kernel's number.
  package func apply(_ model: inout PKVMStage2) -> Int32 {
    switch self {
    case .fault(let ipa, let size, let frame, let prot, let vcpu, let topUp):
      if let topUp { model.topUpMemcache(vcpu: VCPUIndex(vcpu), pages: topUp) }
      return model.map(
        IPA(ipa), size: size, pfn: frame.map { PFN($0) }, prot: Stage2Prot(rawValue: prot),
        vcpu: VCPUIndex(vcpu)
      ).rawValue
    case .unmap(let ipa, let size): return model.unmap(IPA(ipa), size: size).rawValue
    case .wrprotect(let ipa, let size): return model.wrprotect(IPA(ipa), size: size).rawValue
    case .age(let ipa, let size, let markOld):
      return model.testClearYoung(IPA(ipa), size: size, markOld: markOld) ? 1 : 0
    case .relax(let ipa, let prot, let vcpu):
      return model.relaxPerms(IPA(ipa), prot: Stage2Prot(rawValue: prot), vcpu: VCPUIndex(vcpu)).rawValue
    case .mkyoung(let ipa, let vcpu): model.mkyoung(IPA(ipa), vcpu: VCPUIndex(vcpu))
    case .flush(let ipa, let size): return model.flush(IPA(ipa), size: size).rawValue
    case .flushTLBs: model.flushRemoteTLBs()
    case .firstRun(let vcpu): return model.firstRun(VCPUIndex(vcpu)).rawValue
    case .load(let vcpu): return model.loadVCPU(VCPUIndex(vcpu)) ? 1 : 0
    case .put(let vcpu): model.putVCPU(VCPUIndex(vcpu))
    case .trap(let vcpu, let ipa): model.recordTrap(VCPUIndex(vcpu), translationAbort: ipa.map { IPA($0) })
    case .hostPage(let frame, let state, let count):
      model.hyp.vmemmap.override(
        PFN(frame), state: HypPageState(rawValue: UInt8(state)) ?? .owned, shareCount: UInt32(count))
    case .failRefill: model.failNextRefill()
    case .forceReclaim(let frame): return model.forceReclaimGuestPage(PFN(frame)) ? 1 : 0
    case .guestShare(let ipa): return model.guestShareHost(IPA(ipa)).rawValue
    case .guestUnshare(let ipa): return model.guestUnshareHost(IPA(ipa)).rawValue
    case .destroyRange(let ipa, let size): model.destroyRange(IPA(ipa), size: size)
    }
    return 0
  }

  /// The same on the oracle.
  package func apply(_ oracle: inout PKVMOracle) -> Int32 {
    switch self {
    case .fault(let ipa, let size, let frame, let prot, let vcpu, let topUp):
      if let topUp { oracle.topUp(vcpu, topUp) }
      return oracle.map(ipa, size, frame, prot, vcpu)
    case .unmap(let ipa, let size): return oracle.unmap(ipa, size)
    case .wrprotect(let ipa, let size): return oracle.wrprotect(ipa, size)
    case .age(let ipa, let size, let markOld): return oracle.age(ipa, size, markOld)
    case .relax(let ipa, let prot, let vcpu): return oracle.relax(ipa, prot, vcpu)
    case .mkyoung(let ipa, let vcpu): oracle.mkyoung(ipa, vcpu)
    case .flush(let ipa, let size): oracle.flush(ipa, size)
    case .flushTLBs: oracle.flushTLBs()
    case .firstRun(let vcpu): return oracle.firstRun(vcpu)
    case .load(let vcpu): return oracle.load(vcpu)
    case .put(let vcpu): oracle.put(vcpu)
    case .trap(let vcpu, let ipa): if oracle.vcpus[vcpu].created { oracle.vcpus[vcpu].trap = ipa }
    case .hostPage(let frame, let state, let count):
      oracle.host[frame] = PKVMOracle.HostPage(state: state, count: count)
    case .failRefill: oracle.failingRefills += 1
    case .forceReclaim(let frame): return oracle.forceReclaim(frame)
    case .guestShare(let ipa): return oracle.guestShare(ipa, from: 0, to: 1)
    case .guestUnshare(let ipa): return oracle.guestShare(ipa, from: 1, to: 0)
    case .destroyRange(let ipa, let size): oracle.destroyRange(ipa, size)
    }
    return 0
  }

  package var description: String {
    func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
    return switch self {
    case .fault(let ipa, let size, let frame, let prot, let vcpu, let topUp):
      "topup \(topUp ?? 0), map \(hex(ipa)) size \(hex(size)) frame \(frame.map(hex) ?? "?") prot \(hex(prot)) "
        + "vcpu \(vcpu)"
    case .unmap(let ipa, let size): "unmap \(hex(ipa)) size \(hex(size))"
    case .wrprotect(let ipa, let size): "wrprotect \(hex(ipa)) size \(hex(size))"
    case .age(let ipa, let size, let markOld): "test_clear_young \(hex(ipa)) size \(hex(size)) \(markOld)"
    case .relax(let ipa, let prot, let vcpu): "relax_perms \(hex(ipa)) prot \(hex(prot)) vcpu \(vcpu)"
    case .mkyoung(let ipa, let vcpu): "mkyoung \(hex(ipa)) vcpu \(vcpu)"
    case .flush(let ipa, let size): "flush \(hex(ipa)) size \(hex(size))"
    case .flushTLBs: "flush_remote_tlbs"
    case .firstRun(let vcpu): "first run of vcpu \(vcpu)"
    case .load(let vcpu): "load vcpu \(vcpu)"
    case .put(let vcpu): "put vcpu \(vcpu)"
    case .trap(let vcpu, let ipa): "trap of vcpu \(vcpu) at \(ipa.map(hex) ?? "nothing")"
    case .hostPage(let frame, let state, let count): "host page \(hex(frame)) state \(state) count \(count)"
    case .failRefill: "the next refill fails"
    case .forceReclaim(let frame): "force reclaim of frame \(hex(frame))"
    case .guestShare(let ipa): "MEM_SHARE \(hex(ipa))"
    case .guestUnshare(let ipa): "MEM_UNSHARE \(hex(ipa))"
    case .destroyRange(let ipa, let size): "destroy_range \(hex(ipa)) size \(hex(size))"
    }
  }
}
