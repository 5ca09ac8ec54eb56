using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Diagnostics;

/// <summary>
/// What programs that test a processor find where QEMU has its pc-testdev: latches in the port and memory spaces, ports that drive the interrupt lines, and a port that a page is named to whose
/// translations the host is to forget, which it does by itself here.
/// </summary>
public sealed class TestDevice : IDevice
{
    private const int LatchBytes = 4;
    private readonly TestLatch _latch = new(LatchBytes);
    private readonly TestLatch _byteLatch = new(LatchBytes);
    private readonly TestLatch _memory = new(PcAddressMap.TestMemoryLength);
    private readonly TestLines _lines;

    /// <summary>Makes it.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="lines">The interrupt lines from 0 on, for the guest to drive.</param>
    public TestDevice(string name, InterruptLine[] lines)
    {
        Name = name;
        _lines = new TestLines(lines);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps the latches at 0xe0 and 0xe8, the flush port at 0xe4, the lines from 0x2000 on, and 64 KiB at 0xff000000.</summary>
    public void Map(AddressSpace ports, AddressSpace mmio)
    {
        ports.Map(Name, PcAddressMap.TestLatch, LatchBytes, _latch);
        ports.Map(Name, PcAddressMap.TestFlush, LatchBytes, new TestLatch(LatchBytes));
        ports.Map(Name, PcAddressMap.TestByteLatch, LatchBytes, _byteLatch);
        ports.Map(Name, PcAddressMap.TestLines, PcAddressMap.TestLineCount, _lines);
        mmio.Map(Name, PcAddressMap.TestMemory, PcAddressMap.TestMemoryLength, _memory);
    }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _latch.Clear();
        _byteLatch.Clear();
        _memory.Clear();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _latch.Bytes);
        state.Write(2, _byteLatch.Bytes);
        state.Write(3, _memory.Bytes);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state) =>
        state.TryRead(1, _latch.Bytes) == LatchBytes && state.TryRead(2, _byteLatch.Bytes) == LatchBytes && state.TryRead(3, _memory.Bytes) == PcAddressMap.TestMemoryLength;
}
