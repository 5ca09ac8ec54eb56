using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage.Sharing;

/// <summary>
/// Serves a folder of the host to a guest, by threads of its own. The guest names files by single components below files that it knows, symbolic links are the guest's to follow, and
/// openat2 keeps every look-up beneath its directory: nothing outside of the folder can be named. What the guest may do is decided by the guest's kernel, from
/// the owners and permissions of the host's files, and then by the host for the user that runs this process.
/// </summary>
public sealed class FolderServer : IFileSystemBackend, IDisposable
{
    private const int MaximumThreads = 2;
    private readonly NodeTable _nodes;
    private readonly HandleTable _handles;
    private readonly string _path;
    private readonly int _root;
    private readonly bool _readOnly;
    private readonly object _gate = new();
    private readonly Thread?[] _threads = new Thread?[MaximumThreads];
    private FileSystemRequest? _first;
    private FileSystemRequest? _last;
    private int _threadCount;
    private int _idle;
    private int _pending;
    private bool _draining;
    private bool _closed;

    private FolderServer(string path, int root, bool readOnly, DescriptorShare share)
    {
        _nodes = new NodeTable(root, share);
        _handles = new HandleTable(share);
        _path = path;
        _root = root;
        _readOnly = readOnly;
    }

    /// <summary>Number of files that the guest remembers.</summary>
    internal int KnownFiles => _nodes.Count;

    /// <summary>Opens a folder.</summary>
    /// <exception cref="StorageException">It cannot be opened.</exception>
    public static FolderServer Open(string path, bool readOnly) => Open(path, readOnly, DescriptorShare.OfProcess);

    /// <inheritdoc cref="Open(string, bool)"/>
    internal static FolderServer Open(string path, bool readOnly, DescriptorShare share)
    {
        try
        {
            return new FolderServer(path, FolderCalls.OpenRoot(path), readOnly, share);
        }
        catch (SystemCallException e)
        {
            throw new StorageException($"the folder '{path}' cannot be shared: {e.Reason}", e);
        }
    }

    /// <inheritdoc/>
    public void Submit(FileSystemRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        lock (_gate)
        {
            request.Next = null;
            if (_last == null)
            {
                _first = request;
            }
            else
            {
                _last.Next = request;
            }

            _last = request;
            _pending++;
            if (_idle > 0)
            {
                Monitor.Pulse(_gate);
            }
            else if (_threadCount < MaximumThreads)
            {
                Thread thread = new(Work) { Name = "share", IsBackground = true };
                _threads[_threadCount++] = thread;
                thread.Start();
            }
        }
    }

    /// <inheritdoc/>
    public void Drain()
    {
        lock (_gate)
        {
            _draining = true;
            while (_pending > 0)
            {
                Monitor.Wait(_gate);
            }

            _draining = false;
        }
    }

    /// <summary>What the guest knows of the folder and has open in it, by paths in the folder. After <see cref="Drain"/>.</summary>
    /// <exception cref="StorageException">An open file has no name any more, by which it could be found again; it is named.</exception>
    public byte[] Save() => new FolderState(_path, _root, _nodes, _handles).Save();

    /// <summary>Has the guest know and have open again what it did, wherever that is in the folder now. Before the first message.</summary>
    /// <param name="state">What <see cref="Save"/> gave. Hostile.</param>
    /// <exception cref="StorageException">It makes no sense, or an open file is not there or cannot be opened so; it is named.</exception>
    public void Restore(ReadOnlySpan<byte> state) => new FolderState(_path, _root, _nodes, _handles).Restore(state, _readOnly);

    /// <summary>Ends the threads and closes all files. No request is under way.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }

        foreach (Thread? thread in _threads)
        {
            thread?.Join();
        }

        _handles.Dispose();
        _nodes.Dispose();
    }

    private void Work()
    {
        FuseSession session = new(_nodes, _handles, _readOnly);
        while (true)
        {
            FileSystemRequest request;
            lock (_gate)
            {
                _idle++;
                while (_first == null)
                {
                    if (_closed)
                    {
                        return;
                    }

                    Monitor.Wait(_gate);
                }

                _idle--;
                request = _first;
                _first = request.Next;
                if (_first == null)
                {
                    _last = null;
                }
            }

            request.Complete(session.Serve(request));
            lock (_gate)
            {
                // A thread without work waits for the same signal, and is left alone unless somebody waits for the end of all.
                if (--_pending == 0 && _draining)
                {
                    Monitor.PulseAll(_gate);
                }
            }
        }
    }
}
