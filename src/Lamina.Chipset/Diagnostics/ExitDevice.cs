using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Chipset.Diagnostics;

/// <summary>Four ports that let a test program end the machine: a write of 1, 2 or 4 bytes at the first of them reports its value. Reads give zero.</summary>
public sealed class ExitDevice : IDevice, IRegisterWindow
{
    private readonly IPlatformEvents _events;

    /// <summary>Makes it.</summary>
    public ExitDevice(string name, IPlatformEvents events)
    {
        Name = name;
        _events = events;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps ports 0xf4 to 0xf7.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, PcAddressMap.TestExit, 4, this);

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset != 0)
        {
            return AccessResult.BadWidth;
        }

        _events.TestExit((uint)LittleEndian.Get(data));
        return AccessResult.Done;
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
    }

    /// <inheritdoc/>
    /// <remarks>There is nothing to save.</remarks>
    public void Save(IStateWriter state)
    {
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state) => true;
}
