using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <content>Writing, and giving space back.</content>
internal sealed partial class Qcow2Image
{
    /// <inheritdoc/>
    public override int Write(ulong offset, ReadOnlySpan<IoVector> buffers)
    {
        if (IsReadOnly)
        {
            return ErrorNumber.BadDescriptor;
        }

        Span<IoVector> part = stackalloc IoVector[MaximumVectors];
        ulong length = Sum(buffers);
        ulong done = 0;
        while (done < length)
        {
            int error;
            ulong run;
            _lock.EnterReadLock();
            try
            {
                error = FindRun(offset + done, length - done, out ulong entry, out run);
                if (error == 0 && IsOwn(entry))
                {
                    int count = VectorSlice.Take(buffers, done, run, part);
                    error = _file.WriteAt((entry & OffsetMask) + ((offset + done) & (ClusterSize - 1)), part[..count]);
                    done += run;
                    run = 0;
                }
            }
            finally
            {
                _lock.ExitReadLock();
            }

            if (error == 0 && run != 0)
            {
                ulong step = Math.Min(length - done, ClusterSize - ((offset + done) & (ClusterSize - 1)));
                int count = VectorSlice.Take(buffers, done, step, part);
                error = Change(offset + done, part[..count], step);
                done += step;
            }

            if (error != 0)
            {
                return error;
            }
        }

        return 0;
    }

    /// <inheritdoc/>
    public override int Discard(ulong offset, ulong length) => Forget(offset, length, mustZero: false, mayDiscard: true);

    /// <inheritdoc/>
    public override int WriteZeroes(ulong offset, ulong length, bool mayDiscard) => Forget(offset, length, mustZero: true, mayDiscard);

    // Writes at most one cluster that is not this image's alone yet.
    private int Change(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        _lock.EnterWriteLock();
        try
        {
            int error = PrepareTable(TableIndex(offset), out Table table);
            error = error != 0 ? error : GetEntry(offset, out ulong _);
            if (error != 0)
            {
                return error;
            }

            ulong entry = table.Entries[EntryIndex(offset)];
            ulong inside = offset & (ClusterSize - 1);
            if (IsOwn(entry))
            {
                // Somebody else was here first.
                return _file.WriteAt((entry & OffsetMask) + inside, buffers);
            }

            // A cluster that reads as zeroes and kept its space takes it up again.
            bool kept = (entry & (Copied | Compressed)) == Copied && (entry & OffsetMask) != 0;
            ulong place = entry & OffsetMask;
            error = kept ? 0 : _refcounts!.Allocate(out place);
            if (error == 0 && length == ClusterSize)
            {
                error = _file.WriteAt(place, buffers);
            }
            else if (error == 0)
            {
                IoVector whole = new(Marshal.UnsafeAddrOfPinnedArrayElement(_cluster, 0), (nuint)ClusterSize);
                ulong start = offset - inside;
                ulong available = Math.Min(ClusterSize, Length - start);
                Array.Clear(_cluster);
                error = ReadLocked(start, [whole with { Length = (nuint)available }]);
                VectorSlice.CopyFrom(buffers, _cluster, (int)inside);
                error = error != 0 ? error : _file.WriteAt(place, _cluster.AsSpan());
            }

            if (error != 0)
            {
                if (!kept && place != 0)
                {
                    _refcounts!.Release(place, out bool _);
                }

                return error;
            }

            SetEntry(table, offset, place | Copied);
            if (!kept)
            {
                Release(entry);
            }

            return HasMuchToWrite ? WriteBack() : 0;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private int Forget(ulong offset, ulong length, bool mustZero, bool mayDiscard)
    {
        if (IsReadOnly)
        {
            return ErrorNumber.BadDescriptor;
        }

        ulong end = offset + length;
        while (offset < end)
        {
            ulong step = Math.Min(end - offset, ClusterSize - (offset & (ClusterSize - 1)));
            bool whole = step == ClusterSize || ((offset & (ClusterSize - 1)) == 0 && offset + step == Length);
            int error = whole && (_header.Version >= 3 || _backing == null) ? ForgetCluster(offset, mayDiscard) : mustZero ? WriteZeroBytes(offset, step) : 0;
            if (error != 0)
            {
                return error;
            }

            offset += step;
        }

        return 0;
    }

    private int ForgetCluster(ulong offset, bool mayDiscard)
    {
        _lock.EnterWriteLock();
        try
        {
            int error = GetEntry(offset, out ulong entry);
            ulong wanted = _backing != null && _header.Version >= 3 ? Zero : 0;
            if (error != 0 || entry == wanted || (entry == 0 && _backing == null) || (entry == Zero && wanted == 0))
            {
                return error;
            }

            error = PrepareTable(TableIndex(offset), out Table table);
            if (error != 0)
            {
                return error;
            }

            if (!mayDiscard && _header.Version >= 3 && (entry & (Copied | Compressed)) == Copied)
            {
                SetEntry(table, offset, entry | Zero);
                return 0;
            }

            SetEntry(table, offset, wanted);
            Release(entry);
            return HasMuchToWrite ? WriteBack() : 0;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private int WriteZeroBytes(ulong offset, ulong length)
    {
        byte[] zeroes = GC.AllocateArray<byte>((int)length, pinned: true);
        int error = Write(offset, [new IoVector(Marshal.UnsafeAddrOfPinnedArrayElement(zeroes, 0), (nuint)length)]);

        // An address does not keep an array.
        GC.KeepAlive(zeroes);
        return error;
    }
}
