import KVMTypes
import Stage2Model
import Testing

@testable import Reporting

@Suite("Profiles in JSON")
struct ProfileFileTests {
  @Test("A file starts from a built-in profile and changes fields")
  func derive() throws {
    let profile = try ProfileFile.profile(
      json: #"{"base": "7.3-pkvm", "name": "read lock", "faultLock": "read", "ipaBits": 44, "fwb": true}"#)
    #expect(profile.name == "read lock")
    #expect(profile.faultLock == .read)
    #expect(profile.ipaBits == 44)
    #expect(profile.hasFWB)
    #expect(profile.isPKVM)
    #expect(profile.bytesPerNode == 64)
  }

  @Test("Every built-in profile survives being written and read", arguments: Profile.builtIns.map(\.name))
  func roundTrip(name: String) throws {
    let profile = try #require(Profile.builtIn(named: name))
    #expect(
      try ProfileFile.profile(json: ProfileFile.json(profile, by: ToolIdentity(version: "0", commit: "c")))
        == profile)
  }

  @Test(
    "What is wrong with a file is said in words",
    arguments: [
      ("", "is not JSON"),
      ("[1]", "is not a JSON object"),
      ("{}", "has no \"base\""),
      (#"{"base": "5.10"}"#, "no built-in profile"),
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
      _ = try ProfileFile.profile(json: json)
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
