using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Chipset.Diagnostics;

/// <summary>Port 0x80: firmware leaves progress codes there, and operating systems write to it to pass a moment. Holds the last byte, and nobody waits for it.</summary>
public sealed class PostPort : IDevice, IGatheredWindow
{
    private byte _code;

    /// <summary>Makes it.</summary>
    public PostPort(string name)
    {
        Name = name;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The code that was written last; 0 after a reset. Any thread.</summary>
    public byte Code => Volatile.Read(ref _code);

    /// <summary>Maps port 0x80.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, PcAddressMap.Post, 1, this);

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset() => _code = 0;

    /// <inheritdoc/>
    public void Save(IStateWriter state) => state.Write(1, _code);

    /// <inheritdoc/>
    public bool Restore(IStateReader state) => state.TryTake(1, ref _code);

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        LittleEndian.Put(data, _code);
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        _code = (byte)LittleEndian.Get(data);
        return AccessResult.Done;
    }
}
