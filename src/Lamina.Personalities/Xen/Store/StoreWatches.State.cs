using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Store;

/// <content>The saved state: the watches, and what the guest has not been told yet.</content>
internal sealed partial class StoreWatches
{
    private const int SavedWatchLength = (sizeof(ushort) * 3) + StoreLimits.Path + StoreLimits.Token;
    private const int SavedEventLength = (sizeof(ushort) * 2) + StoreLimits.Path;

    /// <summary>Most bytes of a saved field.</summary>
    internal const int SavedLength = StoreLimits.Events * SavedEventLength > StoreLimits.Watches * SavedWatchLength ? StoreLimits.Events * SavedEventLength : StoreLimits.Watches * SavedWatchLength;

    /// <summary>Writes two fields.</summary>
    internal void Save(IStateWriter state, ushort field, Span<byte> buffer)
    {
        PackedWriter watches = new(buffer);
        for (int i = 0; i < StoreLimits.Watches; i++)
        {
            watches.Put(_relative[i] ? 1 : 0);
            watches.Put(GetPath(i));
            watches.Put(_pathLengths[i] == 0 ? default : GetToken(i));
        }

        state.Write(field, watches.Written);
        PackedWriter events = new(buffer);
        for (int i = 0; i < _count; i++)
        {
            int place = (_first + i) % StoreLimits.Events;
            events.Put(_eventWatches[place]);
            events.Put(_eventPaths.AsSpan(place * StoreLimits.Path, _eventLengths[place]));
        }

        state.Write((ushort)(field + 1), events.Written);
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field, Span<byte> buffer)
    {
        Reset();
        _first = 0;
        int length = state.TryRead(field, buffer[..SavedLength]);
        PackedReader watches = new(buffer[..Math.Max(length, 0)]);
        bool valid = length >= 0;
        for (int i = 0; i < StoreLimits.Watches && valid; i++)
        {
            valid = watches.TryTake(1, out int relative) & watches.TryTake(StoreLimits.Path, out ReadOnlySpan<byte> path) & watches.TryTake(StoreLimits.Token, out ReadOnlySpan<byte> token)
                && (path.IsEmpty || StorePath.IsAbsolute(path));
            if (valid)
            {
                Set(i, path, token, relative != 0);
            }
        }

        valid &= watches.IsEmpty;
        length = valid ? state.TryRead((ushort)(field + 1), buffer[..SavedLength]) : -1;
        PackedReader events = new(buffer[..Math.Max(length, 0)]);
        valid = length >= 0;
        while (valid && !events.IsEmpty)
        {
            valid = events.TryTake(StoreLimits.Watches - 1, out int watch) & events.TryTake(StoreLimits.Path, out ReadOnlySpan<byte> path)
                && _count < StoreLimits.Events && _pathLengths[watch] != 0 && StorePath.IsAbsolute(path);
            if (valid)
            {
                Enqueue(watch, path);
            }
        }

        if (!valid)
        {
            Reset();
        }

        return valid;
    }
}
