namespace Lamina.Boot.Layout;

/// <summary>Where the loader puts its structures: in conventional memory, which kernels keep clear of at entry.</summary>
internal static class BootArea
{
    internal const ulong GlobalDescriptorTable = 0x1000;
    internal const ulong StartInformation = 0x2000;
    internal const ulong SetupData = 0x3000;
    internal const ulong BootParameters = 0x7000;
    internal const ulong PageTables = 0x9000;
    internal const ulong CommandLine = 0x2_0000;

    /// <summary>Room for the command line, its terminating zero included.</summary>
    internal const int CommandLineCapacity = 0x1_0000;

    /// <summary>The address after the last structure.</summary>
    internal const ulong End = CommandLine + CommandLineCapacity;
}
