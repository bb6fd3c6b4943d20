import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

@testable import Reporting

@Suite("Profiles in JSON")
struct ProfileFileTests {
  @Test("A file starts from a kernel and changes fields")
  func derive() throws {
    let request = try ProfileFile.request(
      json: #"{"base": "7.3-pkvm", "name": "read lock", "faultLock": "read", "ipaBits": 44, "fwb": true}"#)
    let profile = try request.profile()
    #expect(profile.name == "read lock")
    #expect(profile.faultLock == .read)
    #expect(profile.ipaBits == 44)
    #expect(profile.hasFWB)
    #expect(profile.isPKVM)
    #expect(profile.bytesPerNode == 64)
  }

  @Test(
    "What a file does not state of the machine is the machine's; what it says of the kernel is the kernel's")
  func machine() throws {
    var machine = Profile(path: .pkvm, era: .v7_3)
    machine.ipaBits = 44
    machine.hasHardwareAF = false
    machine.pageSize = .size16K
    func profile(_ text: String) throws -> Profile {
      try ProfileFile.request(json: text).profile(on: machine)
    }
    #expect(try profile(#"{"base": "auto"}"#).isAlike(machine))
    #expect(try profile(#"{"base": "7.3", "name": "same"}"#).isAlike(machine))
    #expect(try profile(#"{"base": "7.3-pkvm", "ipaBits": "trace"}"#).isAlike(machine))
    let stated = try profile(#"{"base": "auto", "hardwareAF": true}"#)
    #expect(stated.hasHardwareAF && stated.ipaBits == 44 && stated.pageSize == .size16K)
    let old = try profile(#"{"base": "6.14"}"#)
    #expect(old.isPKVM && !old.mapsBlocks && old.ipaBits == 44)
    // A host in protected mode leaves the tables to the traditional path before 6.14.
    let older = try profile(#"{"base": "6.12"}"#)
    #expect(!older.isPKVM && older.mapsBlocks && older.faultLock == .read && older.ipaBits == 44)
  }

  @Test("A stated path or era brings what it entails")
  func entailed() throws {
    let traditional = try ProfileFile.request(json: #"{"base": "7.3-pkvm", "path": "traditional"}"#).profile()
    #expect(traditional.faultLock == .read && traditional.mapsBlocks)
    let old = try ProfileFile.request(json: #"{"base": "7.3-pkvm", "era": "6.14"}"#).profile()
    #expect(!old.mapsBlocks)
  }

  @Test("Every built-in profile survives being written and read", arguments: Profile.builtIns.map(\.name))
  func roundTrip(name: String) throws {
    let profile = try #require(Profile.builtIn(named: name))
    var request = ProfileRequest()
    request.kernel = NamedKernel(name)
    let text = ProfileFile.json(request, by: ToolIdentity(version: "0", commit: "c"))
    #expect(try ProfileFile.request(json: text).profile() == profile)
    // The file states nothing of the machine.
    var machine = profile
    machine.ipaBits = 36
    #expect(try ProfileFile.request(json: text).profile(on: machine).ipaBits == 36)
  }

  @Test(
    "What is wrong with a file is said in words",
    arguments: [
      ("", "is not JSON"),
      ("[1]", "is not a JSON object"),
      (#"{"base": "7.3-pkvm", "faultLock": "trace"}"#, "what the kernel is"),
      (#"{"base": "7.3-pkvm", "ipaBit": "trace"}"#, "no such field"),
      (#"{"base": "auto", "name": 7}"#, "name"),
      (#"{"base": "auto", "pageSize": 8192}"#, "4096"),
      ("{}", "has no \"base\""),
      (#"{"base": "7.3-traditonal"}"#, "did you mean 7.3-traditional?"),
      (#"{"base": "seven"}"#, "no built-in profile"),
      (#"{"base": "7.3-pkvm", "faultlock": "read"}"#, "no such field"),
      (#"{"base": "7.3-pkvm", "faultLock": "red"}"#, "read or write"),
      (#"{"base": "7.3-pkvm", "faultLock": 1}"#, "read or write"),
      (#"{"base": "7.3-pkvm", "ipaBits": 53}"#, "ipaBits"),
      (#"{"base": "7.3-pkvm", "ipaBits": 44.5}"#, "ipaBits"),
      (#"{"base": "7.3-pkvm", "fwb": 1}"#, "true or false"),
      (#"{"base": "7.3-pkvm", "ipaBits": true}"#, "32 to 52"),
      (#"{"base": "7.3-pkvm", "fwb": null}"#, "fwb"),
      (#"{"base": "6.14-pkvm", "blockMappings": true}"#, "6.16"),
    ])
  func failure(json: String, words: String) {
    #expect {
      _ = try ProfileFile.request(json: json)
    } throws: { error in
      "\(error)".contains(words)
    }
  }

  @Test("The list names every built-in profile")
  func list() {
    let text = ProfileList.text(Profile.builtIns)
    #expect(Profile.builtIns.allSatisfy { text.contains($0.name) })
  }
}
