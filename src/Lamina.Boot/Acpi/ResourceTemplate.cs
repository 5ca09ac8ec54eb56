namespace Lamina.Boot.Acpi;

/// <summary>A list of resource descriptors (ACPI 6.5, section 6.4).</summary>
internal sealed class ResourceTemplate
{
    private const byte MemoryType = 0;
    private const byte IoType = 1;
    private const byte BusType = 2;
    private const byte FixedProducer = 0x0c; // Minimum and maximum are fixed, positive decode.
    private const byte EntireRange = 0x03;
    private const byte ReadWriteCacheable = 0x03;
    private const byte ReadWriteUncached = 0x01;

    private readonly List<byte> _bytes = [];

    public ResourceTemplate Io(ushort address, byte length) => Put(0x47, 1).Put(1, 1).Put(address, 2).Put(address, 2).Put(1, 1).Put(length, 1);

    /// <summary>An edge-triggered, active-high, exclusive ISA interrupt.</summary>
    public ResourceTemplate Interrupt(int number) => Put(0x22, 1).Put(1UL << number, 2);

    /// <summary>A level-triggered, active-low, shared interrupt of any number: as those of PCI.</summary>
    public ResourceTemplate SharedInterrupt(uint number) => Put(0x89, 1).Put(6, 2).Put(0x0d, 1).Put(1, 1).Put(number, 4);

    /// <summary>An edge-triggered, active-high, exclusive interrupt of any number.</summary>
    public ResourceTemplate ExclusiveInterrupt(uint number) => Put(0x89, 1).Put(6, 2).Put(0x03, 1).Put(1, 1).Put(number, 4);

    public ResourceTemplate FixedMemory(uint address, uint length) => Put(0x86, 1).Put(9, 2).Put(1, 1).Put(address, 4).Put(length, 4);

    public ResourceTemplate Buses(int first, int count) => Range(0x88, 2, BusType, 0, (ulong)first, (ulong)count);

    public ResourceTemplate IoRange(ushort first, int count) => Range(0x88, 2, IoType, EntireRange, first, (ulong)count);

    public ResourceTemplate MemoryRange(uint first, ulong count) => Range(0x87, 4, MemoryType, ReadWriteUncached, first, count);

    public ResourceTemplate MemoryRange64(ulong first, ulong count) => Range(0x8a, 8, MemoryType, ReadWriteCacheable, first, count);

    public byte[] ToArray() => [.. _bytes, 0x79, 0x00];

    private ResourceTemplate Range(byte tag, int width, byte type, byte typeFlags, ulong first, ulong count)
    {
        Put(tag, 1).Put((ulong)(3 + (5 * width)), 2).Put(type, 1).Put(FixedProducer, 1).Put(typeFlags, 1);
        return Put(0, width).Put(first, width).Put(first + count - 1, width).Put(0, width).Put(count, width);
    }

    private ResourceTemplate Put(ulong value, int length)
    {
        for (int i = 0; i < length; i++)
        {
            _bytes.Add((byte)(value >> (8 * i)));
        }

        return this;
    }
}
