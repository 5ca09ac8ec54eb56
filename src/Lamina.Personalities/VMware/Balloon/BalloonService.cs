using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.VMware.Balloon;

/// <summary>
/// The host's side of the memory balloon (Linux, drivers/misc/vmw_balloon.c): the driver asks once a second how many pages it is to give, and locks or unlocks pages one by one or by a page of
/// numbers. Which pages are locked is a bit each, so that none is given twice, and none taken back that was not given. Large pages and doorbells are not offered, and guests told so.
/// </summary>
internal sealed class BalloonService(ILock gate, GuestMemory memory, IMemoryReclaimer? reclaimer) : IBalloon
{
    private const uint BasicCommands = 1 << 1;
    private const uint BatchedCommands = 1 << 2;
    private const uint LongTargets = 1 << 5;
    private const ulong PageSize = GuestMemory.PageSize;
    private const int EntryLength = sizeof(ulong);
    private const int MostEntries = GuestMemory.PageSize / EntryLength;
    private const ulong StatusMask = 0x1f;
    private const int BitsPerWord = 64;

    private readonly ulong[] _locked = new ulong[((memory.Regions[^1].End / PageSize) / BitsPerWord) + 1];
    private ulong _targetPages;
    private ulong _lockedPages;
    private uint _capabilities;

    /// <inheritdoc/>
    public ulong Target
    {
        get => Volatile.Read(ref _targetPages) * PageSize;
        set => Volatile.Write(ref _targetPages, Math.Min(value, memory.Size) / PageSize);
    }

    /// <inheritdoc/>
    public ulong Size => Volatile.Read(ref _lockedPages) * PageSize;

    internal void Reset()
    {
        Forget();
        _capabilities = 0;
    }

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)_capabilities);
        state.Write((ushort)(field + 1), _targetPages);
        state.Write((ushort)(field + 2), _lockedPages);
        state.Write((ushort)(field + 3), MemoryMarshal.AsBytes(_locked.AsSpan(0, _lockedPages == 0 ? 0 : _locked.Length)));
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        Forget();
        ulong locked = 0;
        ulong target = 0;
        bool valid = state.TryTake(field, ref _capabilities) & state.TryTake((ushort)(field + 1), ref target) & state.TryTake((ushort)(field + 2), ref locked)
            & state.TryRead((ushort)(field + 3), MemoryMarshal.AsBytes(_locked.AsSpan())) == (locked == 0 ? 0 : _locked.Length * sizeof(ulong));
        ulong counted = 0;
        foreach (ulong word in _locked)
        {
            counted += (ulong)BitOperations.PopCount(word);
        }

        Volatile.Write(ref _targetPages, Math.Min(target, memory.Size / PageSize));
        Volatile.Write(ref _lockedPages, counted);
        return valid && counted == locked && (_capabilities & ~(BasicCommands | BatchedCommands | LongTargets)) == 0;
    }

    /// <summary>Executes a command of the kernel's; EAX is the answer.</summary>
    internal uint Execute(in GuestCall call)
    {
        gate.Enter();
        BalloonCommand command = (BalloonCommand)(uint)call.Registers[GuestCall.Rcx];
        ulong page = call.Registers[GuestCall.Rbx];
        BalloonStatus status = command == BalloonCommand.Start ? Start(call, (uint)page) : _capabilities == 0 ? BalloonStatus.Reset : command switch
        {
            BalloonCommand.GetTarget or BalloonCommand.GuestId => BalloonStatus.Success,
            BalloonCommand.Lock => Change(page, locks: true),
            BalloonCommand.Unlock => Change(page, locks: false),
            BalloonCommand.BatchedLock or BalloonCommand.BatchedUnlock when (_capabilities & BatchedCommands) != 0 =>
                ChangeMany(page, call.Registers[GuestCall.Rsi], command == BalloonCommand.BatchedLock),
            _ => BalloonStatus.InvalidCommand,
        };
        if (command is BalloonCommand.GetTarget or BalloonCommand.Lock or BalloonCommand.Unlock or BalloonCommand.BatchedLock or BalloonCommand.BatchedUnlock)
        {
            ulong target = Volatile.Read(ref _targetPages);
            call.Registers[GuestCall.Rbx] = (_capabilities & LongTargets) != 0 ? target : (uint)Math.Min(target, uint.MaxValue);
        }

        gate.Exit();
        return (uint)status;
    }

    // A driver that starts has freed what it had, and one that wants nothing ends.
    private BalloonStatus Start(in GuestCall call, uint wanted)
    {
        Forget();
        _capabilities = wanted & (BasicCommands | BatchedCommands | LongTargets);
        call.Set32(GuestCall.Rcx, _capabilities);
        return BalloonStatus.SuccessWithCapabilities;
    }

    private void Forget()
    {
        Array.Clear(_locked);
        Volatile.Write(ref _lockedPages, 0);
    }

    private BalloonStatus Change(ulong page, bool locks)
    {
        nint host = page < (ulong)_locked.Length * BitsPerWord ? memory.GetHostAddress(page * PageSize, PageSize) : 0;
        if (host == 0)
        {
            return BalloonStatus.InvalidPage;
        }

        ref ulong word = ref _locked[page / BitsPerWord];
        ulong bit = 1UL << (int)(page % BitsPerWord);
        if (((word & bit) != 0) == locks)
        {
            return locks ? BalloonStatus.AlreadyLocked : BalloonStatus.NotLocked;
        }

        if (locks && _lockedPages >= Volatile.Read(ref _targetPages))
        {
            return BalloonStatus.NotNeeded;
        }

        word ^= bit;
        Volatile.Write(ref _lockedPages, locks ? _lockedPages + 1 : _lockedPages - 1);
        if (locks)
        {
            reclaimer?.Reclaim(new GuestBuffer(page * PageSize, host, (uint)PageSize));
            memory.MarkWritten(page * PageSize, (uint)PageSize);
        }

        return BalloonStatus.Success;
    }

    // A page of numbers, into which the status of each goes.
    private BalloonStatus ChangeMany(ulong list, ulong count, bool locks)
    {
        if (count is 0 or > MostEntries || list > ulong.MaxValue / PageSize)
        {
            return BalloonStatus.InvalidPage;
        }

        Span<byte> entries = stackalloc byte[MostEntries * EntryLength];
        entries = entries[..((int)count * EntryLength)];
        if (!memory.TryRead(list * PageSize, entries))
        {
            return BalloonStatus.InvalidPage;
        }

        for (int i = 0; i < entries.Length; i += EntryLength)
        {
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(entries[i..]);
            ulong page = entry / PageSize;

            // The list itself is in use.
            BalloonStatus status = page == list ? BalloonStatus.InvalidPage : Change(page, locks);
            BinaryPrimitives.WriteUInt64LittleEndian(entries[i..], (entry & ~StatusMask) | (uint)status);
        }

        memory.TryWrite(list * PageSize, entries);
        return BalloonStatus.Success;
    }
}
