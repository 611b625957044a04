#include "strata/optim/history.hpp"

#include <cmath>
#include <locale>
#include <sstream>

#include "strata/framework/io/atomic_file.hpp"

namespace strata {

void History::write_csv(const std::string& path) const {
  std::ostringstream file;
  file.imbue(std::locale::classic());
  file.precision(std::numeric_limits<double>::max_digits10);
  file << "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,seconds\n";
  for (const EpochRecord& record : epochs) {
    file << record.epoch;
    for (const double value : {record.train_loss, record.train_accuracy, record.validation_loss,
                               record.validation_accuracy, record.learning_rate, record.seconds}) {
      file << ',';
      if (!std::isnan(value)) file << value;
    }
    file << '\n';
  }
  const std::string text = file.str();
  AtomicFile target(path);
  target.write(std::as_bytes(std::span(text)));
  target.commit();
}

}  // namespace strata
