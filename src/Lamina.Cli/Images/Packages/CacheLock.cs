namespace Lamina.Cli.Images.Packages;

/// <summary>Keeps two runs from preparing the same set at the same time. Given back when the process ends, however it ends.</summary>
internal sealed class CacheLock : IDisposable
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);
    private readonly FileStream _file;

    private CacheLock(FileStream file)
    {
        _file = file;
    }

    /// <summary>Takes the lock, and waits for it if need be.</summary>
    public static CacheLock Take(string path, Action onWait, CancellationToken cancellation)
    {
        bool told = false;
        while (true)
        {
            try
            {
                return new CacheLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            }
            catch (IOException) when (File.Exists(path))
            {
                // Another process has it.
            }

            if (!told)
            {
                onWait();
                told = true;
            }

            cancellation.WaitHandle.WaitOne(RetryInterval);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
