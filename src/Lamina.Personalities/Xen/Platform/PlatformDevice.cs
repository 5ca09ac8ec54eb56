using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Pci;
using Lamina.Personalities.Xen.Grants;

namespace Lamina.Personalities.Xen.Platform;

/// <summary>
/// Xen's platform device (5853:0001) with a memory window for grant frames, and the fixed ports through which guests find out that they may unplug emulated devices
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

    // Without an address, kernels take it for one that has the lowest ports.
    private const uint FirmwarePorts = 0xc000;
    private readonly XenDomain _domain;
    private AddressSpace? _memory;
    private AddressMapping? _elsewhere;
    private ulong _elsewhereStart;

    /// <summary>Makes it.</summary>
    /// <param name="personality">The hypervisor.</param>
    /// <param name="functionLock">The function's own lock.</param>
    public PlatformDevice(XenPersonality personality, ILock functionLock)
    {
        ArgumentNullException.ThrowIfNull(personality);
        _domain = personality.Domain;
        Function = new PciFunction(functionLock, new PciIdentity(0x5853, 0x0001, 0xff_8000, 1, 0x5853, 0x0001, InterruptPin: 1));
        Function.AddBar(0, PciBarKind.Io, 256, new SilentWindow(), "xen platform ports");
        Function.SetFirmwareAddress(0, FirmwarePorts);
        Function.AddBar(1, PciBarKind.Memory32, GrantTable.WindowLength, _domain.Grants, "xen platform memory");
        personality.Connect(this);
    }

    /// <inheritdoc/>
    public string Name => "xenplatform";

    /// <summary>The function, to be put on a bus.</summary>
    public PciFunction Function { get; }

    /// <summary>Maps the fixed ports, and the grant frames of guests that have them where there is neither RAM nor this device: those that were entered by PVH.</summary>
    public void Map(AddressSpace ports, AddressSpace memory)
    {
        ArgumentNullException.ThrowIfNull(ports);
        ArgumentNullException.ThrowIfNull(memory);
        ports.Map("xen unplug", FirstPort, PortCount, this);
        _memory = memory;
        _elsewhere = memory.Map("xen grant frames", 0, GrantTable.WindowLength, _domain.Grants, enabled: false);
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
    public void Reset()
    {
        Function.Reset();
        _domain.Gate.Enter();
        _elsewhereStart = 0;
        if (_elsewhere != null)
        {
            _memory!.Update(_elsewhere, 0, enabled: false);
        }

        _domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state) => Function.Save(state, 1);

    /// <inheritdoc/>
    public bool Restore(IStateReader state) => Function.Restore(state, 1);

    /// <summary>Where in the window an address is.</summary>
    /// <returns><c>false</c> if it is not there.</returns>
    internal bool TryGetWindowOffset(ulong address, out ulong offset)
    {
        Span<byte> register = stackalloc byte[sizeof(uint)];
        Function.Peek(MemoryRegister, register);
        ulong start = LittleEndian.Get(register) & ~(GrantTable.WindowLength - 1);
        offset = address - start;
        return start != 0 && offset < GrantTable.WindowLength;
    }

    /// <summary>Puts the window around an address at which there is nothing. It stays there until the machine is reset. With the domain's lock held.</summary>
    /// <param name="address">The address.</param>
    /// <param name="offset">Where in the window that is.</param>
    /// <returns><c>false</c> if there is something, or the window is elsewhere.</returns>
    internal bool TryPlaceWindow(ulong address, out ulong offset)
    {
        ulong start = address & ~(GrantTable.WindowLength - 1);
        offset = address - start;
        if (_elsewhereStart != 0 || start == 0 || _elsewhere == null)
        {
            return start != 0 && _elsewhereStart == start;
        }

        bool free = !_memory!.IsClaimed(address) && _memory.Update(_elsewhere, start, enabled: true);
        _elsewhereStart = free ? start : 0;
        return free;
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
}
