using Lamina.Interop.Files;
using Lamina.Interop.Memory;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>What one snapshot of a chain has of RAM: a memory file, or a compressed one, and which pages of it count.</summary>
internal sealed class MemoryLayer : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly PageRun[]? _runs;
    private readonly SavedFile _saved;
    private readonly bool _isPacked;
    private readonly string _directory;

    private MemoryLayer(string directory, SafeFileHandle file, SavedFile saved, PageRun[]? runs, bool isPacked)
    {
        _directory = directory;
        _file = file;
        _saved = saved;
        _runs = runs;
        _isPacked = isPacked;
    }

    /// <summary>Opens it, and checks all but the pages' content.</summary>
    /// <exception cref="SnapshotException">A file is damaged or missing.</exception>
    internal static MemoryLayer Open(string directory, SnapshotManifest manifest)
    {
        PageRun[]? runs = null;
        if (manifest.Base != null)
        {
            byte[] list = SnapshotFile.ReadAll(directory, MachineSnapshot.PagesFile, PageList.GetMaximumLength(manifest.MemoryBytes));
            MachineSnapshot.Check(list, MachineSnapshot.FindFile(manifest, MachineSnapshot.PagesFile));
            runs = PageList.Read(list, manifest.MemoryBytes) ?? throw new SnapshotException($"'{MachineSnapshot.PagesFile}' is no list of this machine's pages");
        }

        bool isPacked = manifest.Compression != null;
        SavedFile saved = MachineSnapshot.FindFile(manifest, isPacked ? MachineSnapshot.PackedFile : MachineSnapshot.MemoryFile);
        SafeFileHandle file = SnapshotFile.Open(directory, saved.Name);
        ulong length = SnapshotFile.Read(saved.Name, () => (ulong)RandomAccess.GetLength(file));
        if (length != (isPacked ? saved.Length : manifest.MemoryBytes))
        {
            file.Dispose();
            throw new SnapshotException(isPacked ? $"'{saved.Name}' is not as long as what was saved: it is cut off" : $"'{saved.Name}' is not as long as the machine's memory: it is cut off");
        }

        return new MemoryLayer(directory, file, saved, runs, isPacked);
    }

    /// <summary>Whether pages are mapped from its file.</summary>
    internal bool IsMapped => !_isPacked;

    /// <summary>The pages of its file that may hold something, by ascending address. For layers that are mapped.</summary>
    internal List<PageRun> FindData()
    {
        List<PageRun> data = MemoryImage.FindData(_file);
        return _runs == null ? data : Intersect(data, _runs);
    }

    /// <summary>Maps RAM from it, which is the lowest layer.</summary>
    internal MemoryMapping Map(ulong length)
    {
        if (!_isPacked)
        {
            return MemoryMapping.CreatePrivate(_file, length);
        }

        MemoryMapping mapping = MemoryMapping.CreateAnonymous(length);
        try
        {
            Unpack(mapping);
            return mapping;
        }
        catch
        {
            mapping.Dispose();
            throw;
        }
    }

    /// <summary>Lays its pages over those of the layers below.</summary>
    /// <param name="mapping">RAM.</param>
    /// <param name="budget">How many pieces may still be mapped; what is more is read.</param>
    internal void Lay(MemoryMapping mapping, ref int budget)
    {
        if (_isPacked)
        {
            Unpack(mapping);
            return;
        }

        foreach (PageRun run in _runs!)
        {
            if (budget > 0)
            {
                mapping.Overlay(run.Offset, run.Length, _file);
                budget--;
            }
            else
            {
                Copy(mapping, run);
            }
        }
    }

    /// <summary>Checks the pages' content.</summary>
    /// <exception cref="SnapshotException">It is not what was saved.</exception>
    internal void Verify(string place)
    {
        string digest = SnapshotFile.Read(_saved.Name, () => MachineSnapshot.Digest(_saved.Name, _file));
        if (digest != _saved.Sha256)
        {
            throw new SnapshotException($"'{place}{_saved.Name}' is not what was saved: it is damaged or cut off");
        }
    }

    /// <summary>The same layer, for whoever outlives this one.</summary>
    internal MemoryLayer Duplicate() => new(_directory, PlainFile.Duplicate(_file), _saved, _runs, _isPacked);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void Unpack(MemoryMapping mapping)
    {
        if (SnapshotFile.Read(_saved.Name, () => PackedMemory.Unpack(_file, mapping)) != _saved.Sha256)
        {
            throw new SnapshotException($"'{_saved.Name}' is not what was saved: it is damaged or cut off");
        }
    }

    private void Copy(MemoryMapping mapping, PageRun run)
    {
        for (ulong at = run.Offset; at < run.Offset + run.Length; at += MemoryImage.ChunkSize)
        {
            Span<byte> target = mapping.GetSpan(at, (int)Math.Min(MemoryImage.ChunkSize, run.Offset + run.Length - at));
            target.Clear();
            _ = MemoryImage.ReadAll(_file, target, (long)at);
        }
    }

    private static List<PageRun> Intersect(List<PageRun> a, PageRun[] b)
    {
        List<PageRun> both = [];
        for (int i = 0, j = 0; i < a.Count && j < b.Length;)
        {
            ulong first = Math.Max(a[i].First, b[j].First);
            ulong endOfA = a[i].First + a[i].Count;
            ulong endOfB = b[j].First + b[j].Count;
            if (first < Math.Min(endOfA, endOfB))
            {
                both.Add(new PageRun(first, Math.Min(endOfA, endOfB) - first));
            }

            if (endOfA < endOfB)
            {
                i++;
            }
            else
            {
                j++;
            }
        }

        return both;
    }
}
