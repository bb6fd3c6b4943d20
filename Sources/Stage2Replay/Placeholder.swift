import KVMTypes
