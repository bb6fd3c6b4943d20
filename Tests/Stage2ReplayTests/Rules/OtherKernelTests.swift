import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// Recorded accesses under another kernel than the one that was traced.
@Suite("The same accesses under another kernel")
struct OtherKernelTests {
  static func under(_ profile: Profile, _ extent: OtherKernel.Extent, _ story: Scenario) throws -> Replayed {
    var profile = profile
    profile.ipaBits = 40
    profile.hasHardwareAF = false
    var request = ProfileRequest()
    request.profile = profile
    story.options.otherKernel = OtherKernel(request, extent)
    return try story.replay()
  }

  /// One fault on a block, another on a page of the next region that a later fault proves to be mapped by pages.
  static func story() -> Scenario {
    let story = Scenario()
    story.createSlot(pages: 1024, hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    story.age(.kswapd, story.congruentHVA, bytes: story.block)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    story.handle(.vcpu0, story.memory + story.block + story.page, level: 3)
    return story
  }

  @Test("Under the traced kernel itself nothing differs")
  func same() throws {
    let recorded = try Self.story().replay()
    for extent in OtherKernel.Extent.allCases {
      let again = try Self.under(Profile(path: .pkvm, era: .v7_3), extent, Self.story())
      #expect(again.all.map(\.address) == recorded.all.map(\.address))
      #expect(again.all.map(\.size) == recorded.all.map(\.size))
      #expect(again.result.vms[0].memory.mappings.peak == recorded.result.vms[0].memory.mappings.peak)
      #expect(again.result.vms[0].hypercalls == recorded.result.vms[0].hypercalls)
    }
  }

  @Test("A kernel that maps pages takes one fault, or one for each page of a recorded block")
  func pagesOnly() throws {
    let old = Profile(path: .pkvm, era: .v6_14)
    let least = try Self.under(old, .least, Self.story()).result.vms[0]
    #expect(least.operations[.map]?.count == 3)
    #expect(least.memory.mappings.peak == 3)
    let most = try Self.under(old, .most, Self.story()).result.vms[0]
    #expect(most.operations[.map]?.count == 514)
    #expect(most.memory.mappings.peak == 514)
    #expect(most.modelledFaults == 514 && most.accesses == 3)
    #expect(most.hypercalls?[.hostShareGuest] == 514)
  }

  @Test("A recording of a kernel that maps pages may have had blocks, where the slot can hold them")
  func fromPagesOnly() throws {
    func story() -> Scenario {
      let story = Scenario()
      story.profile = Profile(path: .pkvm, era: .v6_14)
      story.profile.ipaBits = 40
      story.createSlot(pages: 1024, hva: story.congruentHVA)
      story.enter(.vcpu0)
      for page in 0..<5 {
        story.handle(.vcpu0, story.memory + UInt64(page) * story.page, level: page == 0 ? 2 : 3)
      }
      return story
    }
    let new = Profile(path: .pkvm, era: .v7_3)
    #expect(try Self.under(new, .least, story()).result.vms[0].operations[.map]?.count == 5)
    let most = try Self.under(new, .most, story()).result.vms[0]
    #expect(most.operations[.map]?.count == 1)
    #expect(most.memory.blockMappings.peak == 1)
    #expect(most.accesses == 5 && most.modelledFaults == 1)
  }

  /// A block that is aged four times, and each time touched at one of three pages.
  private static func agedBlock() -> Scenario {
    let story = Scenario()
    story.createSlot(pages: 1024, hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    // Each makes the block young: until another age no fault follows on the traced kernel.
    for page in [0, 1, 2, 0] as [UInt64] {
      story.age(.kswapd, story.congruentHVA, bytes: story.block)
      story.handle(.vcpu0, story.memory + page * story.page, .accessFlag, level: 2)
    }
    return story
  }

  @Test("An access flag fault on a block maps a page where a kernel maps pages, or finds one that is old")
  func accessFlags() throws {
    let recorded = try Self.agedBlock().replay().result.vms[0]
    #expect(recorded.operations[.mkyoung]?.count == 4)
    let old = Profile(path: .pkvm, era: .v6_14)
    let least = try Self.under(old, .least, Self.agedBlock()).result.vms[0]
    // The page of the first fault is there and old twice; of the others nothing was mapped.
    #expect(least.operations[.map]?.count == 3 && least.memory.mappings.peak == 3)
    #expect(least.operations[.mkyoung]?.count == 2 && least.operations[.mkyoung]?.derived == 0)
    #expect(least.accesses == 5 && least.modelledFaults == 5)
    let most = try Self.under(old, .most, Self.agedBlock()).result.vms[0]
    #expect(most.operations[.map]?.count == 512 && most.memory.mappings.peak == 512)
    #expect(most.operations[.mkyoung]?.count == 4 * 512)
    #expect(most.modelledFaults == 5 * 512)
  }

  @Test("An access to an old page may lack a right there, too, that the block had for another page's sake")
  func accessFlagAndRight() throws {
    func story() -> Scenario {
      let story = Scenario()
      story.createSlot(pages: 1024, hva: story.congruentHVA)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 2)
      story.handle(.vcpu0, story.memory + story.page, .permission, level: 2, .exec)
      story.age(.kswapd, story.congruentHVA, bytes: story.block)
      story.handle(.vcpu0, story.memory, .accessFlag, level: 2, .exec)
      return story
    }
    let least = try Self.under(Profile(path: .pkvm, era: .v6_14), .least, story()).result.vms[0]
    #expect(least.operations[.mkyoung]?.count == 1 && least.operations[.relaxPerms]?.count == 1)
    #expect(least.accesses == 3 && least.modelledFaults == 4)
  }

  @Test("Pages that were made young one by one are one block under a kernel that maps blocks")
  func accessFlagsOfPages() throws {
    func story() -> Scenario {
      let story = Scenario()
      story.profile = Profile(path: .pkvm, era: .v6_14)
      story.profile.ipaBits = 40
      story.profile.hasHardwareAF = false
      story.createSlot(pages: 1024, hva: story.congruentHVA)
      story.enter(.vcpu0)
      for page in 0..<5 {
        story.handle(.vcpu0, story.memory + UInt64(page) * story.page, level: page == 0 ? 2 : 3)
      }
      story.age(.kswapd, story.congruentHVA, bytes: story.block)
      for page in 0..<5 {
        story.handle(.vcpu0, story.memory + UInt64(page) * story.page, .accessFlag, level: 3)
      }
      return story
    }
    let new = Profile(path: .pkvm, era: .v7_3)
    #expect(try Self.under(new, .least, story()).result.vms[0].operations[.mkyoung]?.count == 5)
    let most = try Self.under(new, .most, story()).result.vms[0]
    #expect(most.operations[.mkyoung]?.count == 1 && most.modelledFaults == 2)
  }

  @Test("What only a probe tells to be unmapped is unmapped under the other kernel, too")
  func toldHole() throws {
    let story = Scenario(formats: Scenario.markedFormats + StageTwoProbeFormats.all)
    story.profile = Profile(path: .traditional, era: .v7_3)
    story.profile.ipaBits = 40
    story.createSlot(hva: story.congruentHVA, flags: 4)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    let first = story.memory >> story.pageSize.shift
    story.emit(StageTwoProbeFormats.unmapGFN, .vmm, [0, 0xffff_0000, first, first + 2])
    story.handle(.vcpu0, story.memory + 3 * story.page, level: 3)
    story.handle(.vcpu0, story.memory, level: 3)
    let other = try Self.under(Profile(path: .pkvm, era: .v7_3), .least, story)
    #expect(
      other.all.map(\.kind) == [.map, .unmap, .map, .map]
        && other.all.filter { $0.kind == .map }.allSatisfy { $0.result == 0 })
    #expect(other.result.vms[0].hypercalls?[.hostUnshareGuest] == 1)
  }

  @Test("vCPUs that are initialised again lose the guest's memory under the other kernel, too")
  func reset() throws {
    let story = Scenario()
    story.createSlot()
    func boot() {
      story.enter(.vcpu0, pc: story.memory)
      story.handle(.vcpu0, story.memory, level: 1, .exec, pc: story.memory)
    }
    boot()
    story.stop(.vcpu0)
    boot()
    let other = try Self.under(Profile(path: .traditional, era: .v7_3), .least, story)
    #expect(other.all.map(\.kind) == [.map, .unmap, .map])
    #expect(other.result.vms[0].resets.count == 1)
  }

  @Test("The model of the other kernel is corrected where that of the traced one is")
  func corrections() throws {
    // A fault on a block where the model has pages, for want of an event that says why.
    let story = Scenario()
    story.createSlot(pages: 1024, hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handle(.vcpu0, story.memory + story.page, .permission, level: 2, .exec)
    let recorded = try story.replay()
    for extent in OtherKernel.Extent.allCases {
      let again = try Self.under(Profile(path: .pkvm, era: .v7_3), extent, story)
      #expect(again.all.map(\.size) == recorded.all.map(\.size))
      #expect(again.all.map(\.result) == recorded.all.map(\.result))
      let (memory, told) = (again.result.vms[0].memory, recorded.result.vms[0].memory)
      #expect(memory.mappings.peak == told.mappings.peak && memory.mappings.live == told.mappings.live)
      #expect(memory.totalBytes.peak == told.totalBytes.peak && memory.tables.live == told.tables.live)
    }
  }

  @Test("Two vCPUs that raced for a page race under the other kernel, too")
  func races() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory)
    story.fault(.vcpu1, story.memory)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    let other = try Self.under(Profile(path: .pkvm, era: .v6_16), .least, story)
    #expect(other.all.map(\.result) == [0, -11])
    #expect(other.all.allSatisfy { $0.basis == .modelled })
  }
}
