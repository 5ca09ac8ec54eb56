using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Lamina.Interop.Memory;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Blocks;

/// <summary>
/// The decoded blocks of one VM, found by physical address, shared by its processors. Look-up takes no lock. A write to a page that has blocks
/// drops those that overlap it; a processor that is inside one stops before its next instruction, because every handler of a
/// dropped block is replaced. Memory is reclaimed only by <see cref="Clear"/>, at a safe point.
/// </summary>
internal sealed unsafe class BlockCache : ICodeInvalidator, IDisposable
{
    private const int BucketBits = 18;
    private const int BucketCount = 1 << BucketBits;
    private const int PageSize = 0x1000;
    private const int LongestInstruction = 15;
    private const ulong NoPage = 1;
    private const ulong AnyPage = 2;

    /// <summary>Instructions of a block at most.</summary>
    public const int MaximumInstructions = 48;

    private readonly SoftwarePartition _partition;
    private readonly GuestMemory _memory;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, nint> _pages = [];
    private readonly Block** _buckets;
    private readonly MemoryMapping _arenaMapping;
    private readonly byte* _arena;
    private readonly nuint _arenaSize;
    private nuint _used;
    private bool _disposed;

    public BlockCache(SoftwarePartition partition, GuestMemory memory, nuint arenaSize)
    {
        _partition = partition;
        _memory = memory;
        _arenaSize = arenaSize;
        _buckets = (Block**)NativeMemory.AllocZeroed(BucketCount, (nuint)sizeof(Block*));
        _arenaMapping = MemoryMapping.CreateGrowing(arenaSize);
        _arena = (byte*)_arenaMapping.Address;
    }

    /// <summary>Counts whole-cache clears; a cached pointer to a block is good only within one epoch.</summary>
    public int Epoch { get; private set; }

    /// <summary>Blocks decoded since creation.</summary>
    public long Decoded { get; private set; }

    /// <summary>Finds a block, or null.</summary>
    public Block* Find(ulong physical, int mode) => Find(physical, NoPage, mode);

    /// <summary>Whether an instruction that ends in another page is known to begin at a physical address.</summary>
    public bool HasCrossing(ulong physical, int mode) => Find(physical, AnyPage, mode) != null;

    /// <summary>Finds the block of one instruction that ends in another page, or null.</summary>
    /// <param name="physical">Where it begins.</param>
    /// <param name="second">The page that it ends in.</param>
    /// <param name="mode">See <see cref="Block.ModeOf"/>.</param>
    public Block* FindCrossing(ulong physical, ulong second, int mode) => Find(physical, second, mode);

    /// <summary>
    /// Decodes a block at a physical address. Null if there is no RAM, if even the first instruction leaves the page, or if it cannot be decoded: then the
    /// processor tries <see cref="CreateCrossing"/>, or takes that one instruction byte by byte.
    /// </summary>
    public Block* Create(ProcessorContext* c, ulong physical, int mode) => Create(c, physical, NoPage, mode);

    /// <summary>
    /// Decodes the instruction at a physical address that ends in another page. Null if either is not RAM, if both are the same, if it does not end there, or if it cannot be decoded.
    /// </summary>
    public Block* CreateCrossing(ProcessorContext* c, ulong physical, ulong second, int mode) => (physical & ~0xfffUL) == second ? null : Create(c, physical, second, mode);

    /// <inheritdoc/>
    public void InvalidateCode(ulong address, ulong length)
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            ulong last = (address + length - 1) & ~0xfffUL;
            for (ulong page = address & ~0xfffUL; page <= last; page += 0x1000)
            {
                if (_pages.TryGetValue(page, out nint head))
                {
                    InvalidatePage(page, (Block*)head, address, length);
                }
                else
                {
                    _memory.RemovePageAttributes(page, PageAttributes.Code);
                }
            }
        }
    }

    /// <summary>Drops everything. Only while no processor is inside a block.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            foreach (ulong page in _pages.Keys)
            {
                _memory.RemovePageAttributes(page, PageAttributes.Code);
            }

            _pages.Clear();
            new Span<nint>(_buckets, BucketCount).Clear();
            _used = 0;
            Epoch++;
        }
    }

    /// <summary>Frees it. A device that writes at this moment may still come with what it has written; nothing is dropped then.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                _disposed = true;
                NativeMemory.Free(_buckets);
                _arenaMapping.Dispose();
            }
        }
    }

    private Block* Create(ProcessorContext* c, ulong physical, ulong second, int mode)
    {
        while (true)
        {
            ulong last = second == NoPage ? physical : second;
            byte* attributes = _memory.GetPageAttributes(physical);
            byte* others = _memory.GetPageAttributes(last);
            if (attributes == null || others == null)
            {
                return null;
            }

            if (!IsWatched(attributes))
            {
                _partition.WatchCodePage(c, physical);
            }

            if (!IsWatched(others))
            {
                _partition.WatchCodePage(c, last);
            }

            if (IsFull)
            {
                _partition.ClearBlocks(c);
            }

            lock (_lock)
            {
                if (IsFull || !IsWatched(attributes) || !IsWatched(others))
                {
                    continue;
                }

                Block* existing = Find(physical, second, mode);
                return existing != null ? existing : second == NoPage ? Decode(physical, mode) : DecodeCrossing(physical, second, mode);
            }
        }
    }

    private bool IsFull => _used + (nuint)(sizeof(Block) + (MaximumInstructions * sizeof(Instruction)) + sizeof(CrossingTail)) > _arenaSize;

    private Block* Find(ulong physical, ulong second, int mode)
    {
        Block* block = Bucket(physical, mode);
        while (block != null && (block->Physical != physical || block->Mode != mode || !block->Valid || !EndsIn(block, second)))
        {
            block = block->HashNext;
        }

        return block;
    }

    private static bool EndsIn(Block* block, ulong second) => block->Crosses ? second == AnyPage || Block.Tail(block)->Page == second : second == NoPage;

    private static bool IsWatched(byte* attributes) => (Volatile.Read(ref *attributes) & (byte)PageAttributes.Code) != 0;

    private byte* HostPage(ulong physical) => (byte*)_memory.GetHostAddress(physical & ~0xfffUL, PageSize);

    // From a copy, so that what another processor writes meanwhile, by an access that does not cross 16 bytes, is seen whole or not at all. It drops the block afterwards.
    [SkipLocalsInit]
    private Block* Decode(ulong physical, int mode)
    {
        int codeSize = Block.CodeSizeOf(mode);
        byte* memory = HostPage(physical);
        byte* code = stackalloc byte[PageSize];
        int offset = (int)(physical & 0xfff);
        Block* block = (Block*)(_arena + _used);
        Instruction* i = Block.Instructions(block);
        int count = 0;
        bool ends = false;
        int position = offset;
        int copied = offset & -Vector128<byte>.Count;
        while (count < MaximumInstructions && !ends && position < PageSize)
        {
            for (; copied < Math.Min(position + LongestInstruction, PageSize); copied += Vector128<byte>.Count)
            {
                Vector128.Load(memory + copied).Store(code + copied);
            }

            DecodeStatus status = Decoder.Decode(code + position, PageSize - position, codeSize, out *i);
            if (status != DecodeStatus.Done)
            {
                break;
            }

            _partition.Bind(i, codeSize);
            ends = (i->Flags & InstructionFlags.EndsBlock) != 0;
            position += i->Length;
            i++;
            count++;
        }

        if (count > 1 && IsSetInterrupt(i - 1))
        {
            // It holds interrupts off for an instruction, which must be in the same block.
            i--;
            count--;
            position -= i->Length;
            ends = false;
        }
        else if (count == 1)
        {
            ends |= EndAtSetInterrupt(i - 1);
        }
        else if (count == 0)
        {
            return null;
        }

        *block = new Block { Physical = physical, Count = (ushort)count, ByteLength = (ushort)(position - offset), Mode = (byte)mode, SetsRip = ends, Valid = true };
        return Keep(block, (byte*)i);
    }

    private Block* DecodeCrossing(ulong physical, ulong second, int mode)
    {
        int codeSize = Block.CodeSizeOf(mode);
        byte* code = stackalloc byte[2 * Vector128<byte>.Count];
        Vector128.Load(HostPage(physical) + PageSize - Vector128<byte>.Count).Store(code);
        Vector128.Load(HostPage(second)).Store(code + Vector128<byte>.Count);
        int split = PageSize - (int)(physical & 0xfff);
        Block* block = (Block*)(_arena + _used);
        Instruction* i = Block.Instructions(block);
        if (split >= LongestInstruction || Decoder.Decode(code + Vector128<byte>.Count - split, LongestInstruction, codeSize, out *i) != DecodeStatus.Done || i->Length <= split)
        {
            return null;
        }

        _partition.Bind(i, codeSize);
        bool ends = EndAtSetInterrupt(i) || (i->Flags & InstructionFlags.EndsBlock) != 0;
        *block = new Block { Physical = physical, Count = 1, ByteLength = i->Length, Mode = (byte)mode, SetsRip = ends, Valid = true };
        CrossingTail* tail = Block.Tail(block);
        tail->Listed = new Block { Physical = second, ByteLength = (ushort)(i->Length - split), Mode = (byte)mode };
        tail->Head = block;
        List(&tail->Listed);
        return Keep(block, (byte*)(tail + 1));
    }

    // Has a block found, once its memory is its own.
    private Block* Keep(Block* block, byte* end)
    {
        _used = ((nuint)(end - _arena) + 15) & ~(nuint)15;
        Decoded++;
        List(block);
        ref Block* bucket = ref Bucket(block->Physical, block->Mode);
        block->HashNext = bucket;
        Thread.MemoryBarrier();
        bucket = block;
        return block;
    }

    private void List(Block* block)
    {
        ulong page = block->Physical & ~0xfffUL;
        block->PageNext = _pages.TryGetValue(page, out nint head) ? (Block*)head : null;
        _pages[page] = (nint)block;
    }

    private void Unlist(Block* block)
    {
        ulong page = block->Physical & ~0xfffUL;
        Block* head = (Block*)_pages[page];
        Block** link = &head;
        while (*link != block)
        {
            link = &(*link)->PageNext;
        }

        *link = block->PageNext;
        ListPage(page, head);
    }

    private void ListPage(ulong page, Block* head)
    {
        if (head == null)
        {
            _pages.Remove(page);
            _memory.RemovePageAttributes(page, PageAttributes.Code);
        }
        else
        {
            _pages[page] = (nint)head;
        }
    }

    // STI alone in its block holds interrupts off for an instruction that is in another one.
    private static bool EndAtSetInterrupt(Instruction* i)
    {
        if (!IsSetInterrupt(i))
        {
            return false;
        }

        i->Handler = &Execute.ControlHandlers.SetInterruptLast;
        i->Flags |= InstructionFlags.EndsBlock;
        return true;
    }

    // With LOCK it means nothing.
    private static bool IsSetInterrupt(Instruction* i) => i->Opcode == 0xfb && i->Map == 0 && (i->Flags & InstructionFlags.Undefined) == 0;

    private void InvalidatePage(ulong page, Block* head, ulong address, ulong length)
    {
        // Before any translation is dropped: one that is just being made may hold several blocks, and is only kept while all of them are valid.
        for (Block* b = head; b != null; b = b->PageNext)
        {
            if (Overlaps(b, address, length))
            {
                Volatile.Write(ref HeadOf(b)->Valid, false);
            }
        }

        Block* kept = null;
        Block* block = head;
        while (block != null)
        {
            Block* next = block->PageNext;
            if (Overlaps(block, address, length))
            {
                Drop(HeadOf(block));
                if (block->Count == 0)
                {
                    Unlist(HeadOf(block));
                }
                else if (block->Crosses)
                {
                    Unlist(&Block.Tail(block)->Listed);
                }
            }
            else
            {
                // Its translations have looked at other code of the page: at what reads flags behind a jump, and at what follows.
                _partition.Code?.Drop(block);
                block->PageNext = kept;
                kept = block;
            }

            block = next;
        }

        ListPage(page, kept);
    }

    // The block that is listed in a page, or crosses into it.
    private static Block* HeadOf(Block* listed) => listed->Count != 0 ? listed : ((CrossingTail*)listed)->Head;

    // What is listed in a page lies in it, but for what crosses: the rest of that is listed in the other.
    private static bool Overlaps(Block* block, ulong address, ulong length) => block->Physical < address + length && address < block->Physical + block->ByteLength;

    private void Drop(Block* block)
    {
        _partition.Code?.Drop(block);
        ref Block* link = ref Bucket(block->Physical, block->Mode);
        while (link != block)
        {
            link = ref link->HashNext;
        }

        link = block->HashNext;
        Instruction* i = Block.Instructions(block);
        for (int n = 0; n < block->Count; n++, i++)
        {
            i->Handler = &Execute.ControlHandlers.Invalidated;
            i->Flags |= InstructionFlags.Dropped;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Block* Bucket(ulong physical, int mode)
    {
        ulong hash = (physical + (ulong)mode) * 0x9e37_79b9_7f4a_7c15;
        return ref _buckets[hash >> (64 - BucketBits)];
    }
}
