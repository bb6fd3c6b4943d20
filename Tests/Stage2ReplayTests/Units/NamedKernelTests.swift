import Foundation
import KVMTrace
import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// A profile says what the kernel is, the trace says what the machine is.
@Suite("Kernels by name")
struct NamedKernelTests {
  @Test("A name is a release, with or without the mode of its host")
  func names() throws {
    #expect(NamedKernel("7.3")?.isProtectedMode == nil && NamedKernel("7.3")?.era == .v7_3)
    #expect(NamedKernel("7.3-pkvm")?.isProtectedMode == true)
    #expect(NamedKernel("6.16-traditional")?.isProtectedMode == false)
    #expect(NamedKernel("7.0.13+deb13-arm64-16k")?.era == .v6_19)
    #expect(NamedKernel("6.17-rc3")?.era == .v6_16)
    #expect(NamedKernel("v3")?.era == .v3)
    for other in ["", "7", "seven", "6.12.json", "7.3/x", "v4", "-pkvm", "7.3pkvm"] {
      #expect(NamedKernel(other) == nil, "\(other)")
    }
    #expect(
      Set(NamedKernel.listed.map(\.name)).isSuperset(of: ["6.12-pkvm", "6.17-pkvm", "7.3-traditional"]))
  }

  @Test(
    "A misspelt mode is no release",
    arguments: [
      ("7.3-traditonal", "7.3-traditional"), ("7.3-pKVM", "7.3-pkvm"), ("7.3-pkv", "7.3-pkvm"),
      ("7.3-trad", "7.3-traditional"), ("7.3_pkvm", "7.3-pkvm"), ("7.3pkvm", "7.3-pkvm"),
      ("6.14.2-TRADITIONAL", "6.14.2-traditional"), ("v3-pkmv", "v3-pkvm"), ("7.3-kvm", "7.3-pkvm"),
      ("7.3-", "7.3-pkvm"), ("7.3.4+deb13-arm64-pvkm", "7.3.4+deb13-arm64-pkvm"),
      ("7.3.4+deb13-arm64-tradtional", "7.3.4+deb13-arm64-traditional"),
    ])
  func misspelt(name: String, meant: String) {
    #expect(NamedKernel(name) == nil)
    #expect(NamedKernel.meant(by: name) == meant)
    #expect(NamedKernel(meant)?.isProtectedMode == meant.hasSuffix("pkvm"))
  }

  @Test(
    "What a distribution puts behind a release is its own",
    arguments: [
      "7.3.4+deb13-cloud-arm64", "7.3-rc3", "7.3-16k", "7.3.0+", "6.17.0-rc3+", "7.3-arm64", "7.3-generic",
      "6.17-k8s", "6.17-rpm", "6.17.0-1028-kvm", "7.3.1-cloud-vm", "7.3-next-20261101", "6.19",
      "7.3.4+deb13-cloud-arm64-pkvm",
    ])
  func distribution(name: String) {
    #expect(NamedKernel.meant(by: name) == nil)
    #expect(NamedKernel(name) != nil)
  }

  @Test("A release that is not listed is told")
  func unlisted() throws {
    let trace = try Recordings.trace("pkvm-nvhe-7.3.4-page-fault.dat")
    func told(_ name: String, era: String? = nil) throws -> String? {
      var request = ProfileRequest()
      request.kernel = NamedKernel(name)
      if let era { try request.set("era", to: .word(era)) }
      return try Replay.profiles(of: trace, traced: request, others: []).traced.unlistedRelease
    }
    #expect(try ["9.9", "6.41", "5.10-pkvm"].map { try told($0) } == ["9.9", "6.41", "5.10"])
    #expect(try ["7.3.99", "6.12", "v3"].map { try told($0) } == [nil, nil, nil])
    #expect(try told("9.9", era: "7.2") == nil)
  }

  /// For each recording: what the trace says of itself, its release by name, and files that only name that.
  @Test("The traced kernel by any of its names is the traced kernel", arguments: Recordings.names)
  func sameKernel(name: String) throws {
    let trace = try Recordings.trace(name)
    let surveyed = SurveyedTrace(trace, stated: nil, options: ReplayOptions())
    let auto = try ReplayProfile(ProfileRequest(), surveyed.profile)
    let release = try #require(trace.uname.split(separator: " ").dropFirst(2).first.map(String.init))
    let short = release.split(separator: ".").prefix(2).joined(separator: ".")
    for kernel in [release, short] {
      var request = ProfileRequest()
      request.kernel = NamedKernel(kernel)
      #expect(request.kernel != nil)
      #expect(try ReplayProfile(request, surveyed.profile) == auto, "\(kernel)")
      request.name = "same"
      #expect(try ReplayProfile(request, surveyed.profile) == auto, "\(kernel), named")
      // And on the machine of the trace, as compare asks for it.
      let other = try ReplayProfile(request, surveyed.profile, on: auto)
      #expect(other.profile == auto.profile && other.basis == auto.basis, "\(kernel), compared")
    }
  }

  @Test("Another kernel is on the traced machine, and on the path that it has there")
  func otherKernel() throws {
    let trace = try Recordings.trace("pkvm-nvhe-7.3.4-page-fault.dat")
    let (traced, others) = try Replay.profiles(
      of: trace, traced: ProfileRequest(),
      others: ["6.12", "6.14", "7.2-traditional"].map { name in
        var request = ProfileRequest()
        request.kernel = NamedKernel(name)
        return request
      })
    #expect(traced.isPKVM && others.map(\.isPKVM) == [false, true, false])
    #expect(others.allSatisfy { $0.ipaBits == traced.ipaBits && $0.pageSize == traced.pageSize })
    #expect(others.allSatisfy { $0.hasHardwareAccessFlag == traced.hasHardwareAccessFlag })
  }

  @Test("A stated field is an assumption where it is not what the trace shows")
  func stated() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handleAccessFault(.vcpu0, story.memory)
    for (value, basis) in [(false, Basis.derived), (true, .assumed)] {
      var request = ProfileRequest()
      try request.set("hardwareAF", to: .bool(value))
      story.request = request
      #expect(try story.replay().result.profile.basis[.hardwareAF] == basis)
    }
  }
}
