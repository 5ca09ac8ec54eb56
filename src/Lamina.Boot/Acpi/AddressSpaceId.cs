namespace Lamina.Boot.Acpi;

/// <summary>Address space of a generic address structure (ACPI 6.5, table 5.1).</summary>
internal enum AddressSpaceId : byte
{
    Memory = 0,
    Io = 1,
}
