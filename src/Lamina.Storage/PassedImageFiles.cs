using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>Files that another process has opened, in the order in which <see cref="DiskImages.FindFiles"/> names them.</summary>
/// <param name="files">What each is.</param>
/// <param name="passed">The open files.</param>
public sealed class PassedImageFiles(IReadOnlyList<ImageFile> files, IReadOnlyList<PassedFile> passed) : IImageFiles
{
    /// <inheritdoc/>
    public BlockFile Open(string path, bool writable, bool direct)
    {
        for (int i = 0; i < files.Count && i < passed.Count; i++)
        {
            if (passed[i].Number >= 0 && files[i] == new ImageFile(path, writable, direct))
            {
                return BlockFile.Adopt(passed[i].Take(), path);
            }
        }

        throw new SystemCallException("open", ErrorNumber.AccessDenied);
    }
}
