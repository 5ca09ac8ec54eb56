using Xunit.Sdk;
using Xunit.v3;

// Tests count the descriptors and mappings of this process.
[assembly: Parallelization(Mode = ParallelMode.None)]
