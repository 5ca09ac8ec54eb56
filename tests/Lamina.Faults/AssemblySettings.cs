using Xunit.Sdk;
using Xunit.v3;

// Descriptors and mappings of the process are counted.
[assembly: Parallelization(Mode = ParallelMode.None)]
