namespace Lamina.Boot;

/// <summary>What the loader tells a kernel besides the memory map. The command line has been written already.</summary>
/// <param name="CommandLineLength">Length of the command line, without the terminating zero.</param>
/// <param name="InitrdAddress">Guest-physical address of the initial RAM disk.</param>
/// <param name="InitrdLength">Its length; 0 if there is none.</param>
/// <param name="RootPointerAddress">Guest-physical address of the ACPI root pointer; 0 if there is none.</param>
internal readonly record struct Handover(int CommandLineLength, ulong InitrdAddress, ulong InitrdLength, ulong RootPointerAddress);
