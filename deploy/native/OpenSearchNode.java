import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node in the foreground: {@code OpenSearchNode FOLDER}, which holds node_1/config/opensearch.yml. */
public final class OpenSearchNode {
    /** What the platform asks of OpenSearch; each further module costs memory and time at every start. */
    private static final String MODULES = String.join(
            ",",
            "org.opensearch.transport.Netty4Plugin",
            "org.opensearch.ingest.common.IngestCommonPlugin",
            "org.opensearch.index.mapper.MapperExtrasPlugin",
            "org.opensearch.index.reindex.ReindexPlugin",
            "org.opensearch.painless.PainlessPlugin");

    private OpenSearchNode() {}

    public static void main(final String[] arguments) throws InterruptedException {
        final Path folder = Path.of(arguments[0]);
        final Path settings = folder.resolve("node_1").resolve("config").resolve("opensearch.yml");
        final OpenSearchRunner runner = new OpenSearchRunner();
        // Else it would look for a free port by itself, and listen elsewhere than it was told.
        runner.setMaxHttpPort(-1);
        runner.onBuild((number, builder) -> {
            try {
                builder.loadFromPath(settings);
            } catch (final IOException error) {
                throw new UncheckedIOException(error);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(runner)));
        runner.build("-basePath", folder.toString(), "-numOfNode", "1", "-moduleTypes", MODULES, "-useLogger");
        Thread.currentThread().join();
    }

    private static void close(final OpenSearchRunner runner) {
        try {
            runner.close();
        } catch (final IOException error) {
            error.printStackTrace();
        }
    }
}
