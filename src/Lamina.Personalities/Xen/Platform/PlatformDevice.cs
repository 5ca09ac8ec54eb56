using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Pci;

namespace Lamina.Personalities.Xen.Platform;

/// <summary>
/// Xen's platform device (5853:0001) with a memory window in which a guest may have its grant frames, and the fixed ports through which guests find out that they may unplug emulated devices
/// (xen/docs/misc/hvm-emulated-unplug.pandoc). There are none here to unplug.
/// </summary>
public sealed class PlatformDevice : IDevice, IRegisterWindow
{
    private const ulong FirstPort = 0x10;
    private const ulong PortCount = 4;
    private const ushort Magic = 0x49d2;
    private const byte ProtocolVersion = 1;
    private const ulong VersionOffset = 2;
    private const int MemoryRegister = 0x14;
    private const ulong WindowLength = 1 << 20;

    // Guests have as many bits of addresses (leaf 0x40000005).
    private const ulong HighestAddress = 1UL << 46;

    // Without an address, kernels take it for one that has the lowest ports.
    private const uint FirmwarePorts = 0xc000;
    private AddressSpace? _memory;

    /// <summary>Makes it.</summary>
    /// <param name="personality">The hypervisor.</param>
    /// <param name="functionLock">The function's own lock.</param>
    public PlatformDevice(XenPersonality personality, ILock functionLock)
    {
        ArgumentNullException.ThrowIfNull(personality);
        Function = new PciFunction(functionLock, new PciIdentity(0x5853, 0x0001, 0xff_8000, 1, 0x5853, 0x0001, InterruptPin: 1));
        Function.AddBar(0, PciBarKind.Io, 256, new SilentWindow(), "xen platform ports");
        Function.SetFirmwareAddress(0, FirmwarePorts);
        Function.AddBar(1, PciBarKind.Memory32, WindowLength, new EmptyWindow(), "xen platform memory");
        personality.Connect(this);
    }

    /// <inheritdoc/>
    public string Name => "xenplatform";

    /// <summary>The function, to be put on a bus.</summary>
    public PciFunction Function { get; }

    /// <summary>Maps the fixed ports, and says where else there are devices: guests that were entered by PVH have their grant frames where there is nothing.</summary>
    public void Map(AddressSpace ports, AddressSpace memory)
    {
        ArgumentNullException.ThrowIfNull(ports);
        ArgumentNullException.ThrowIfNull(memory);
        ports.Map("xen unplug", FirstPort, PortCount, this);
        _memory = memory;
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        bool known = (offset == 0 && data.Length == sizeof(ushort)) || (offset == VersionOffset && data.Length == 1);
        LittleEndian.Put(data, !known ? ulong.MaxValue : offset == 0 ? Magic : ProtocolVersion);
        return known ? AccessResult.Done : AccessResult.BadWidth;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Done;

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset() => Function.Reset();

    /// <inheritdoc/>
    public void Save(IStateWriter state) => Function.Save(state, 1);

    /// <inheritdoc/>
    public bool Restore(IStateReader state) => Function.Restore(state, 1);

    /// <summary>Whether a page without RAM may be a grant frame's: in the window of this device, or where there is nothing.</summary>
    internal bool IsFree(ulong address)
    {
        Span<byte> register = stackalloc byte[sizeof(uint)];
        Function.Peek(MemoryRegister, register);
        ulong start = LittleEndian.Get(register) & ~(WindowLength - 1);
        return (start != 0 && address - start < WindowLength) || (address < HighestAddress && _memory?.IsClaimed(address) == false);
    }

    // The ports of the register are for logs of drivers.
    private sealed class SilentWindow : IRegisterWindow
    {
        public AccessResult Read(ulong offset, Span<byte> data)
        {
            data.Clear();
            return AccessResult.Done;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Done;
    }

    // What there is in the window is memory.
    private sealed class EmptyWindow : IRegisterWindow
    {
        public AccessResult Read(ulong offset, Span<byte> data) => AccessResult.Unclaimed;

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Unclaimed;
    }
}
