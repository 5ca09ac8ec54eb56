using System.Text;
using Lamina.Storage.Discs;
using Lamina.Vmm;

namespace Lamina.Cli.Images.Systems;

/// <summary>The disk on which cloud-init finds what a machine is to become (its data source NoCloud): a disc with the label "cidata".</summary>
internal static class CloudInitDisk
{
    private const string Label = "cidata";
    private const long MaximumLength = 16 << 20;

    /// <summary>Makes the disk.</summary>
    /// <param name="userData">The file with the user's wishes.</param>
    /// <param name="machine">The machine's name.</param>
    /// <param name="temporary">Takes the disk, which does not outlive the machine.</param>
    /// <exception cref="LaminaException">It cannot be made.</exception>
    public static DiskSettings Create(string userData, string machine, TemporaryFiles temporary)
    {
        try
        {
            FileInfo file = new(userData);
            if (file.Exists && file.Length > MaximumLength)
            {
                throw new LaminaException($"--user-data '{userData}' is too long: at most {MaximumLength >> 20} MiB.");
            }

            byte[] content = File.ReadAllBytes(userData);
            string path = temporary.NewName(".iso");
            File.WriteAllBytes(path, DataDisc.Create(Label, [("meta-data", Encoding.UTF8.GetBytes($"instance-id: {machine}\nlocal-hostname: {machine}\n")), ("user-data", content)]));
            return new DiskSettings { Path = path, Format = Storage.DiskFormat.Raw, IsReadOnly = true, Serial = Label };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"--user-data '{userData}' cannot be used: {e.Message}", e);
        }
    }
}
